import json
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.preview import preview

KEY = "a-vision-key-of-32-characters-00"
ENVIRON = {
    "AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com",
    "AZURE_OPENAI_API_KEY": "an-openai-key-of-32-characters-0",
    "OPENAI_API_VERSION": "2024-02-15-preview",
    "VISION_ENDPOINT": "https://acme.cognitiveservices.azure.com",
    "VISION_KEY": KEY,
}


def job(tmp_path: Path, rows: str) -> Job:
    (tmp_path / "videos.csv").write_text("url,acv_document_id\n" + rows)
    return Job.create(tmp_path / "videos.csv", "", model="azure:gpt4v", azure_model="gpt-4-vision-preview",
                      video_index="videos")  # fmt: skip


def test_a_request_without_its_secrets(tmp_path: Path) -> None:
    [shown] = preview(job(tmp_path, "https://acme.example/a.mp4?sig=SECRET,one\n"), ENVIRON)
    texts = [json.dumps(shown.to_dict()), shown.to_curl([]), shown.to_python([])]
    for text in texts:
        assert "SECRET" not in text
        assert KEY not in text
        assert "VISION_KEY" in text
        assert "https://acme.example/a.mp4" in text
    assert shown.key == "one"
    compile(texts[2], "shown", "exec")
    assert "'videoUrls': ['https://acme.example/a.mp4']" in texts[2]


def test_a_row_that_names_no_video(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="would not be sent"):
        list(preview(job(tmp_path, "https://acme.example/a.mp4,a b\n"), ENVIRON))
