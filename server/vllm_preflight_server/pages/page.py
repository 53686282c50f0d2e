"""The pages: of a plan or a prediction (MCP App, report), and the one that asks by itself.

Each is built from app/ and is one file that fetches nothing from elsewhere. They are read
when asked for.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import InvalidRequest

PAGE_URI = "ui://vllm-preflight/plan"
_EMPTY_DATA = '<script id="data" type="application/json"></script>'


def page_html() -> str:
    """The page, waiting for a host to tell it the answer."""
    page = files("vllm_preflight_server.pages") / "app_page" / "plan.html"
    return page.read_text(encoding="utf-8")


def live_html() -> str:
    """The page that asks by itself: a form, and the answers of the JSON API beside it."""
    page = files("vllm_preflight_server.pages") / "app_page" / "live.html"
    return page.read_text(encoding="utf-8")


def report_html(answer: Mapping[str, Any]) -> str:
    """The page with `answer` (JSON of a plan or a prediction) in it."""
    # A name must not end the element it stands in.
    data = json.dumps(answer, ensure_ascii=False).replace("<", "\\u003c")
    return page_html().replace(_EMPTY_DATA, _EMPTY_DATA.replace("></", f">{data}</"))


def check_report_path(path: Path, *, force: bool) -> None:
    """Refuse a path that `write_report` could not write to.

    Raises:
        InvalidRequest: the folder does not exist, or the file does and `force` is not set.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidRequest(f"A report cannot be written to {path}.", "Name a file in a folder.")
    if path.exists() and not force:
        raise _exists(path)


def write_report(path: Path, answer: Mapping[str, Any], *, force: bool) -> None:
    """Write the page with `answer` to `path`, whole or not at all.

    Raises:
        InvalidRequest: the file exists and `force` is not set, or it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(report_html(answer))
            os.chmod(name, 0o666 & ~_umask())
            if force:
                os.replace(name, path)
            else:
                # Unlike a rename, a link never replaces a file.
                os.link(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise InvalidRequest(
            f"The report cannot be written to {path}: {error.strerror}.", "Name another file."
        ) from error


def _exists(path: Path) -> InvalidRequest:
    return InvalidRequest(f"{path} exists already.", "Name another file, or add --force.")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
