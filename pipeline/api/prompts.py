"""A prompt with columns of the listing in it: `Describe this {category} photo`. Pure.

A prompt without a `{column}` is sent as it is. In one that has columns, `{{` and `}}` stand for braces.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.errors import UserError
from pipeline.items import OWN_PROMPT, Failure, SourceImage

_PIECE = re.compile(r"\{\{|\}\}|\{(?P<column>[^\W\d][^{}\n]{0,99})\}|(?P<brace>[{}])|[^{}]+")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """Text and columns in turn."""

    texts: tuple[str, ...]
    """One more than `columns`."""
    columns: tuple[str, ...]

    def fill(self, row: Mapping[str, str]) -> str:
        """The prompt for a row; KeyError names the column that it lacks."""
        pieces = [self.texts[0]]
        for column, text in zip(self.columns, self.texts[1:], strict=True):
            pieces += (row[column], text)
        return "".join(pieces)


def prompt_template(prompt: str) -> PromptTemplate | None:
    """None for a prompt without columns. UserError for a lone brace in one that has some."""
    texts, columns, lone_brace = [""], [], False
    for piece in _PIECE.finditer(prompt):
        if column := piece["column"]:
            columns.append(column)
            texts.append("")
        else:
            lone_brace = lone_brace or piece["brace"] is not None
            texts[-1] += {"{{": "{", "}}": "}"}.get(piece[0], piece[0])
    if not columns:
        return None
    if lone_brace:
        raise UserError(
            f"The prompt has the column {{{columns[0]}}} and a brace that belongs to none; "
            "write {{ and }} for braces that shall be sent."
        )
    return PromptTemplate(tuple(texts), tuple(columns))


def own_prompts(images: Iterable[SourceImage], prompt: str) -> Iterator[SourceImage]:
    """Give each image the prompt that is its own: that of its row, or the job's with the row's columns filled in.

    An own prompt is part of the image's version: a changed column asks this image again, while `request_hash`, which
    holds the job's prompt as it was written, stays the same for all. Raises UserError when a row has no such column
    before any had; later such a row fails, since lines of a JSONL file may differ.
    """
    template = prompt_template(prompt)
    complete = False
    for image in images:
        own = image.prompt
        if own is None and template and not image.failure:
            try:
                own = template.fill(image.metadata or {})
                complete = True
            except KeyError as error:
                if not complete:
                    raise UserError(_unknown(error.args[0], image)) from None
                message = f"The row has no {error.args[0]!r}, which the prompt needs."
                yield replace(image, failure=Failure("incomplete_row", message))
                continue
        yield image if own is None else _with_prompt(image, own)


def _with_prompt(image: SourceImage, prompt: str) -> SourceImage:
    digest = hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return replace(image, prompt=prompt, version=f"{image.version}{OWN_PROMPT}{digest}")


def _unknown(column: str, image: SourceImage) -> str:
    known = ", ".join(sorted(image.metadata or ()))
    has = f"the columns {known}" if known else "no columns beside the image's"
    return f"The prompt names {{{column}}}, but {image.key} has {has}; write {{{{ and }}}} for braces as such."
