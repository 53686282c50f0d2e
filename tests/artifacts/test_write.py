"""Writing: all files or none, and never over another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.artifacts.write import write_files
from vllm_preflight.base.errors import InvalidRequest

FILES = {"a.sh": "#!/bin/sh\n", "b.yaml": "b: ü\n", "c.yaml": "c: 1\n"}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_files_are_written_and_scripts_can_be_run(tmp_path: Path) -> None:
    paths = write_files(tmp_path / "new" / "deep", FILES)
    assert contents(tmp_path / "new" / "deep") == FILES
    assert [os.access(path, os.X_OK) for path in paths] == [True, False, False]


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidRequest, match=r"already has b\.yaml"):
        write_files(tmp_path, FILES)
    assert contents(tmp_path) == {"b.yaml": "mine"}
    write_files(tmp_path, FILES, force=True)
    assert contents(tmp_path) == FILES


def test_a_link_counts_as_a_file_and_is_replaced_itself(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine", encoding="utf-8")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "b.yaml").symlink_to(target)
    with pytest.raises(InvalidRequest, match="already has"):
        write_files(folder, FILES)
    write_files(folder, FILES, force=True)
    assert target.read_text(encoding="utf-8") == "mine"
    assert not (folder / "b.yaml").is_symlink()


@pytest.mark.design("6: bad input never writes or loses anything")
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_failure_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    before = {"b.yaml": "mine", "other": "theirs"}
    for name, text in before.items():
        (folder / name).write_text(text, encoding="utf-8")
    calls: list[Any] = []
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(InvalidRequest, match="No space left on device"):
        write_files(folder, FILES, force=True)
    assert contents(folder) == before


def test_a_failure_leaves_no_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InvalidRequest, match="nothing was changed"):
        write_files(tmp_path / "new" / "deep", FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InvalidRequest, match="cannot be written"):
        write_files(tmp_path / "file" / "out", FILES)
    (tmp_path / "out" / "a.sh").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match="is a folder"):
        write_files(tmp_path / "out", FILES, force=True)


def test_what_is_no_text_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no Unicode text"):
        write_files(tmp_path / "out", {**FILES, "d.sh": "#!/bin/sh\n\udcff\n"})
    assert list(tmp_path.iterdir()) == []


def _killed_at(folder: Path, step: str) -> None:
    """Write from a process that is killed at the first call of `step`."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from vllm_preflight.artifacts.write import write_files\n"
        f"os.{step} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_files(Path(sys.argv[1]), {FILES!r})"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("exists", [False, True])
def test_a_kill_leaves_no_part_of_a_new_folder(tmp_path: Path, step: str, exists: bool) -> None:
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
    _killed_at(folder, step)
    assert not folder.exists() or not list(folder.iterdir())
    write_files(folder, FILES)
    assert contents(folder) == FILES


def test_an_empty_present_folder_stays_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    write_files(Path(), FILES)
    assert tmp_path.stat().st_ino == before
    assert contents(tmp_path) == FILES
