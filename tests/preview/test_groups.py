"""A group of images, printed as it would be asked about."""

import json
from pathlib import Path

import pytest

from pipeline import Job, run_async
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.called import called
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate
from tests.preview.test_preview import KEY, in_a_shell, in_python


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of photos, one of them with more than one, of different formats."""
    monkeypatch.chdir(tmp_path)
    for name, data in {
        "one/front.jpg": encoded(photo(2000, 1000)),
        "one/it's 2.png": encoded(photo(60, 40), "png"),
        "two/front.jpg": encoded(photo(80, 60)),
    }.items():
        (tmp_path / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / name).write_bytes(data)
    return tmp_path / "shop"


GROUPED = ("-m", "gpt-4o", "--group-by", "folder")


def test_each_image_follows_its_name(shop: Path) -> None:
    ended = called("request", shop, *GROUPED, "--limit", "2")
    first, second = (json.loads(part) for part in ended.out.replace("}\n{", "}\n\n{").split("\n\n"))
    assert (first["key"], second["key"]) == ("one", "two")
    content = first["body"]["messages"][-1]["content"]
    assert [part.get("text") for part in content if part["type"] == "text"][1:] == [
        "Image 1: front.jpg",
        "Image 2: it's 2.png",
    ]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    assert [url.partition("[")[0] for url in urls] == ["data:image/jpeg;base64,", "data:image/png;base64,"]
    assert [url[:-1].rpartition(" ")[2] for url in urls] == ["1536x768", "60x40"]


def test_several_files_need_several_names(shop: Path) -> None:
    ended = called("request", shop, *GROUPED, "--as", "curl", "--image-file", "x.jpg")
    assert (ended.code, ended.out) == (2, "")
    assert "one is 2" in ended.err


@pytest.mark.integration
@pytest.mark.parametrize("form", ["curl", "python"])
async def test_as_printed_it_asks_about_all_images_of_a_group(
    shop: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with emulate(EmulatorOptions(api_key=KEY)) as running:
        printed = called("request", shop, *GROUPED, "--as", form, "--base-url", running.base_url)
        assert printed.code == 0, printed.err
        assert sorted(path.name for path in shop.parent.glob("*.sent.*")) == ["one.1.sent.jpeg", "one.2.sent.png"]
        said = await (in_a_shell if form == "curl" else in_python)(printed.out)
        assert "1536x768 jpeg" in said
        assert "60x40 png" in said
        if form == "curl":
            job = Job.create(shop, "out", model="gpt-4o", base_url=running.base_url, group_by="folder")
            assert (await run_async(job)).exit_code == 0
        assert max(running.stats.asked.values()) == (2 if form == "curl" else 1), "the same, to the byte"
