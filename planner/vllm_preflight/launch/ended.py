"""Which of a line's flags another release does not take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vllm_preflight.launch.flags.configs import ended_keys
from vllm_preflight.launch.flags.files import read_config_file
from vllm_preflight.launch.flags.parser import ArgumentsRefused, read_arguments
from vllm_preflight.launch.flags.preprocess import Token, WordsRefused, preprocess
from vllm_preflight.launch.flags.table import Parser, lifetime, parser_of
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version
from vllm_preflight.launch.words.find import find_server_command

# JSON arguments that the parser takes as they are, and the config that reads them.
_READ_LATER = {"--speculative-config": "SpeculativeConfig"}


def ended_flags(text: str, old: Version, new: Version) -> Iterator[tuple[str, str]]:
    """Each flag of the line that `old` has and `new` does not: as written, and a sentence.

    Of arguments that are JSON objects also the keys. Source: the parsers and the config classes
    of both releases.

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
        yield from _ended_words(words, before, after)
        return
    for item in reading.given:
        if item.spelling in after.by_spelling:
            taken = after.by_spelling[item.spelling]
            config = taken.config or item.argument.config or _READ_LATER.get(taken.flag)
            for life in ended_keys(config, item.value, old, new) if config is not None else ():
                yield f"{life.flag} of {item.spelling}", life.gone_in(new)
            continue
        written = " ".join(words[index] for index in sorted(set(item.origin))) or item.spelling
        yield written, _sentence(item.spelling, new)


def _ended_words(words: Sequence[str], before: Parser, after: Parser) -> Iterator[tuple[str, str]]:
    """Of a line that the old release refuses itself the flags by their names alone."""
    for word in words:
        spelling = word.partition("=")[0]
        if spelling in before.by_spelling and spelling not in after.by_spelling:
            yield spelling, _sentence(spelling, after.version)


def _sentence(spelling: str, new: Version) -> str:
    life = lifetime(spelling)
    if life is None:
        # A prefix that was unambiguous in the old release.
        return f"vLLM {format_version(new)} has no {spelling}."
    return life.gone_in(new)
