"""The files that start a night: read by the tools that will read them, where these are installed."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.job import Job

ROOT = Path(__file__).parents[1]
SCHEDULE = ROOT / "jobs" / "schedule"
COMMAND = re.compile(r"nightcap run .*")


def cronjob() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text("utf-8"))
    return document


def pod() -> dict[str, Any]:
    found: dict[str, Any] = cronjob()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_its_units(tmp_path: Path) -> None:
    for name in ("nightcap.service", "nightcap.timer"):
        text = (SCHEDULE / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("/opt/nightcap/bin/nightcap", "/bin/true"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_cron_starts_one_command() -> None:
    lines = (SCHEDULE / "crontab").read_text("utf-8").splitlines()
    [entry] = [line for line in lines if line and not line.startswith("#") and "=" not in line.split()[0]]
    *when, command = entry.split(None, 5)
    assert all(re.fullmatch(r"\*|\d+", field) for field in when)
    assert "%" not in command, "cron would read it as the end of the line"
    subprocess.run(["/bin/sh", "-n", "-c", command], check=True)


@pytest.mark.parametrize("name", ["nightcap.service", "crontab", "cronjob.yaml"])
def test_the_command_is_understood(name: str) -> None:
    from tests.test_readme import parse

    found = COMMAND.search((SCHEDULE / name).read_text("utf-8"))
    assert found
    parse(found[0].removesuffix(" & run=$!").split()[1:])


def test_the_night_is_a_job() -> None:
    job = Job.load(ROOT / "jobs" / "nightly.toml")
    assert job.notify.webhook_variable
    assert job.plan().out.startswith("az://")


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 0), (4, 0), (2, 2), (3, 3)])
def test_in_a_pod_only_trouble_is_a_failure(tmp_path: Path, code: int, expected: int) -> None:
    ended = subprocess.run(in_a_pod(tmp_path, f"exit {code}"), env=on_path(tmp_path))
    assert ended.returncode == expected


def test_in_a_pod_the_command_is_told_to_end(tmp_path: Path) -> None:
    """The shell is process 1 there and gets the signal alone; it must pass it on, and wait for the command."""
    script = "trap 'sleep 0.2; touch recorded; exit 143' TERM; touch began; while :; do sleep 0.05; done"
    with subprocess.Popen(in_a_pod(tmp_path, script), env=on_path(tmp_path), cwd=tmp_path) as shell:
        while not (tmp_path / "began").exists():
            time.sleep(0.02)
        shell.send_signal(signal.SIGTERM)
        assert shell.wait(20) == 143
    assert (tmp_path / "recorded").exists()


def in_a_pod(folder: Path, script: str) -> list[str]:
    """The container's command, with a `nightcap` that runs this script instead."""
    (folder / "nightcap").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nightcap").chmod(0o755)
    [container] = pod()["containers"]
    return [*container["command"], *container["args"]]


def on_path(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_pod_finds_what_it_mounts() -> None:
    [container] = pod()["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod()["volumes"]}
    assert cronjob()["spec"]["concurrencyPolicy"] == "Forbid"
