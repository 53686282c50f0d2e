"""Files as one ZIP archive, which browsers take where they would refuse several files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from vllm_preflight.artifacts.write import is_script

# The earliest that a ZIP can say: the same files are the same bytes.
_TIMELESS = (1980, 1, 1, 0, 0, 0)
_PLAIN, _EXECUTABLE = 0o100644, 0o100755
_UNIX = 3


def zipped(files: Mapping[str, str]) -> bytes:
    """The archive of `files` (names to texts); scripts are executable."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, _TIMELESS)
            entry.create_system = _UNIX
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (_EXECUTABLE if is_script(text) else _PLAIN) << 16
            archive.writestr(entry, text)
    return made.getvalue()
