"""On which line of its file an argument of a server stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vllm_preflight.manifests.nodes import Text
from vllm_preflight.manifests.servers import ManifestServer


def argument_places(server: ManifestServer, lines: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Each flag of the server's words with its line, and "model" with the model's."""
    words = [word.text for word in server.command.words] if server.command else []
    if words and not words[0].startswith("-"):
        yield "model", _line_of(words[0], server, lines)
    for word in words:
        if not re.match(r"--?[A-Za-z]", word):
            continue
        flag = word.partition("=")[0]
        line = _line_of(flag, server, lines)
        if flag == "--model":
            yield "model", line
        yield flag, line


def _line_of(wanted: str, server: ManifestServer, lines: Sequence[str]) -> int:
    whole = re.compile(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])")
    for source in server.sources:
        if whole.search(source):
            return _inside(whole, source, lines)
    return server.line


def _inside(whole: re.Pattern[str], source: Text, lines: Sequence[str]) -> int:
    """The line of a text that goes over several, where the words stand."""
    for number in range(source.line, source.last + 1):
        if number <= len(lines) and whole.search(lines[number - 1]):
            return number
    return source.line
