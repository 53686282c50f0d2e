"""GitHub's workflow commands: an annotation for each thing to say."""

from __future__ import annotations

from vllm_preflight.base.text import clean
from vllm_preflight.contract.manifest import ManifestResponse
from vllm_preflight_server.cli.formats.results import results

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def github_text(response: ManifestResponse) -> str:
    """Lines that a runner turns into annotations beside the file."""
    lines = [
        f"::{_COMMANDS[item.level]} file={_property(item.file)},line={item.line},"
        f"title={_property(f'vllm-preflight: {item.name}')}::{_message(item.text)}"
        for item in results(response)
    ]
    lines += [
        _message(f"{row.file}:{row.line}: {row.name}: {row.verdict.sentence}")
        for row in response.servers
        if row.good and row.verdict is not None
    ]
    return clean("\n".join(lines))


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
