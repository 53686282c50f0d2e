"""Writing: all files or none, and never over another's."""

from __future__ import annotations

import os
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
