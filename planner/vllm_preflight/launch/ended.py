"""Which of a line's flags another release does not take."""

from __future__ import annotations

from collections.abc import Iterator

from vllm_preflight.launch.flags.files import read_config_file
from vllm_preflight.launch.flags.parser import ArgumentsRefused, read_arguments
from vllm_preflight.launch.flags.preprocess import Token, WordsRefused, preprocess
from vllm_preflight.launch.flags.table import lifetime, parser_of
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version
from vllm_preflight.launch.words.find import find_server_command


def ended_flags(text: str, old: Version, new: Version) -> Iterator[tuple[str, str]]:
    """Each flag of the line that `old` takes and `new` does not: as written, and a sentence.

    Nothing for a line that `old` itself refuses. Source: the parsers of both releases.

    Raises:
        InvalidRequest: the text starts no vLLM server.
    """
    command = find_server_command(text)
    words = [word.text for word in command.words]
    tokens = [Token(word, (index,)) for index, word in enumerate(words)]
    before, after = parser_of(old), parser_of(new)
    try:
        given = preprocess(
            tokens, before, serve=command.entry == "serve", read_config=read_config_file
        )
        reading = read_arguments(given, before)
    except (WordsRefused, ArgumentsRefused):
        return
    for item in reading.given:
        if item.spelling in after.by_spelling:
            continue
        written = " ".join(words[index] for index in sorted(set(item.origin))) or item.spelling
        life = lifetime(item.spelling)
        if life is None:
            # A prefix that was unambiguous in the old release.
            yield written, f"vLLM {format_version(new)} has no {item.spelling}."
            continue
        successor = f" Its place is taken by {life.replaced_by}." if life.replaced_by else ""
        yield written, life.absent_in(new) + successor
