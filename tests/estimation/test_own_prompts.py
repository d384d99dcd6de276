"""An estimate for images whose prompts differ."""

from pathlib import Path

from pipeline import Job, estimate
from tests.helpers.folders import write_jpegs


def test_text_tokens_follow_the_columns(tmp_path: Path) -> None:
    write_jpegs(tmp_path, 2)
    (tmp_path / "l.csv").write_text("path,what\n0000.jpg,cat\n0001.jpg,a very much longer description of it\nno.jpg,\n")
    job = Job.create(tmp_path / "l.csv", tmp_path / "out", model="gpt-4o", prompt="Describe this {what}.")
    [row] = estimate(job).models
    [plain] = estimate(job.overlay(prompt="Describe this cat.")).models
    assert row.text_tokens > plain.text_tokens
    assert plain.text_tokens_exact
    assert not row.text_tokens_exact
    assert any("prompts of their own" in note for note in row.notes)
