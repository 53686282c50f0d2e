"""How every command gives its answer: as JSON, as text, as a page; progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vllm_preflight.base.text import presentable
from vllm_preflight.contract.answer import Report
from vllm_preflight_server.cli.streams import discard_output, is_unicode
from vllm_preflight_server.pages.page import check_report_path, write_report


def report_path(parsed: argparse.Namespace) -> Path | None:
    """Where --report shall go, refused before the work when it cannot."""
    if "report" not in parsed:
        return None
    path = Path(parsed.report)
    check_report_path(path, force=parsed.force)
    return path


def write_page(path: Path | None, answer: Report, force: bool) -> None:
    """Write the page that --report asks for."""
    if path is not None:
        write_report(path, answer.to_json_dict(), force=force)
        print(presentable(f"report: {path}"), file=sys.stderr)


def print_answer(
    report: Report, as_json: bool, full: bool, show: Callable[[Mapping[str, Any]], None]
) -> None:
    """Print an answer as JSON or as `show` does; without its terms unless `full`."""
    answer = (report if full else report.concise()).to_json_dict()
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=not is_unicode()))
        return
    try:
        show(answer)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has what it wants; the exit code is still the answer's.
        discard_output()


def progress(message: str) -> None:
    """Say what is being done, apart from the answer."""
    print(presentable(message), file=sys.stderr)
