"""The files of a plan as one ZIP."""

from __future__ import annotations

import io
import zipfile

from vllm_preflight.artifacts.archive import zipped

FILES = {"serve.sh": "#!/bin/sh\nexec vllm serve ü\n", "README.md": "read\n"}


def test_the_archive_holds_the_files_and_scripts_can_be_run() -> None:
    with zipfile.ZipFile(io.BytesIO(zipped(FILES))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name).decode() for name in archive.namelist()} == FILES
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert modes == {"serve.sh": 0o755, "README.md": 0o644}


def test_the_same_files_are_the_same_bytes() -> None:
    assert zipped(FILES) == zipped(dict(FILES))
