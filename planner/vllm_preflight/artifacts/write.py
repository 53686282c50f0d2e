"""Files into a folder: all of them or none, and never over another's."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vllm_preflight.base.errors import InvalidRequest


def write_files(folder: Path, files: Mapping[str, str], *, force: bool = False) -> list[Path]:
    """Write `files` (names to texts) into `folder`; scripts are executable.

    A new or empty folder is made beside its place and moved there in one step, so it has all
    files or is not there, whatever ends the process. In a folder with other files each is
    written beside its place and moved there in one step; when something fails, what was there
    before is put back.

    Raises:
        InvalidRequest: a file exists and `force` is not given, or the folder cannot be
            written; nothing has changed then.
    """
    existing = [name for name in files if os.path.lexists(folder / name)]
    if existing and not force:
        raise InvalidRequest(
            f"{folder} already has {', '.join(existing)}.",
            "Choose another folder, or overwrite with --force.",
        )
    directories = [folder / name for name in existing if (folder / name).is_dir()]
    if directories:
        raise InvalidRequest(
            f"{directories[0]} is a folder.", "Move it away, or choose another place."
        )
    made = _first_missing(folder)
    try:
        if made is not None or _is_ours_to_replace(folder):
            _make_whole(folder, files)
            return [folder / name for name in files]
        with tempfile.TemporaryDirectory(prefix=".vllm-preflight-", dir=folder) as name:
            _replace_all(folder, files, existing, Path(name))
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a name is no Unicode text"
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        raise InvalidRequest(
            f"{folder} cannot be written: {reason}.",
            "Choose a folder you may write to; nothing was changed.",
        ) from error
    return [folder / name for name in files]


def is_script(text: str) -> bool:
    """Whether a file of that text is run, and so executable."""
    return text.startswith("#!")


def _make_whole(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder with all files in one step."""
    target = folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".vllm-preflight-", dir=target.parent) as name:
        whole = Path(name) / "whole"
        _fill(whole, files)
        if target.exists():
            shutil.copymode(target, whole)
            if sys.platform == "win32":  # It moves no folder over an empty one.
                target.rmdir()
        os.replace(whole, target)


def _is_ours_to_replace(folder: Path) -> bool:
    """Whether an empty folder can make room for another of its name."""
    target = folder.resolve()
    return (
        target.is_dir()
        and not os.listdir(target)
        # Who stands in it would stand in a folder that is gone.
        and target != Path.cwd()
        and not os.path.ismount(target)
        and os.access(target.parent, os.W_OK)
    )


def _fill(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files into a new folder, and wait until the disk has them."""
    folder.mkdir()
    for name, text in files.items():
        path = folder / name
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o755 if is_script(text) else 0o644)


def _replace_all(folder: Path, files: Mapping[str, str], existing: list[str], work: Path) -> None:
    new, old = work / "new", work / "old"
    old.mkdir()
    _fill(new, files)
    for name in existing:
        shutil.copy2(folder / name, old / name, follow_symlinks=False)
    placed: list[str] = []
    try:
        for name in files:
            os.replace(new / name, folder / name)
            placed.append(name)
    except BaseException:
        for name in placed:
            if name in existing:
                os.replace(old / name, folder / name)
            else:
                (folder / name).unlink()
        raise


def _first_missing(folder: Path) -> Path | None:
    """The highest folder that writing would make, to be removed when writing fails."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    return missing[-1] if missing else None
