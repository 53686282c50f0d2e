"""What vLLM's parser does to the words before argparse sees them.

--model becomes the positional argument, --config FILE its contents, underscores dashes, -O
a flag of its own and --x.key one JSON object; each as the release in question does it.
Source: vLLM utils/argparse_utils.py:FlexibleArgumentParser, 0.8 to 0.33.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from vllm_preflight.launch.flags.table import Parser
from vllm_preflight.launch.flags.values import human_readable_int
from vllm_preflight.launch.launch import Version

# Until then `vllm serve --model X` was an error.
_MODEL_OPTION_SINCE: Version = (0, 11, 1)
_SERVED_NAME_RULE_SINCE: Version = (0, 17, 0)
_DOTTED_SINCE: Version = (0, 9, 0)
_LISTS_SINCE: Version = (0, 9, 2)
# Until then underscores of the keys after the dot became dashes too.
_KEYS_KEPT_SINCE: Version = (0, 9, 1)
_TYPED_KEYS_SINCE: Version = (0, 9, 2)
_SCALED_KEYS_SINCE: Version = (0, 20, 0)
# How -O3 was written out: a key of the compilation config, later a flag.
_LEVEL_KEYS: Sequence[tuple[Version, str]] = (
    ((0, 9, 2), "-O.level"),
    ((0, 11, 1), "-O.mode"),
    ((0, 12, 0), "--optimization-level"),
)
_DOTTED_LEVEL_UNTIL: Version = (0, 13, 0)
_FLAG_NAME = re.compile(r"(?<=--)[^.]*")
_SERVED_NAME = re.compile(r"--served[-_]model[-_]name(=.+|$)", re.DOTALL)

# The arguments of a file by its name, None where the file is not here.
ReadConfig = Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Token:
    """One word for argparse, the user's words it came from and what in it is unknown."""

    text: str
    origin: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()

    def replaced(self, text: str) -> Token:
        """The same word, written otherwise."""
        return Token(text, self.origin, self.missing)


class WordsRefused(Exception):
    """VLLM stops before argparse: its sentence, and the user's words that are to blame."""

    def __init__(self, message: str, origin: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.message, self.origin = message, origin


def preprocess(
    tokens: Sequence[Token], parser: Parser, *, serve: bool, read_config: ReadConfig
) -> list[Token]:
    """The words as argparse gets them; `serve` is false for the older server module.

    Raises WordsRefused with what vLLM raises.
    """
    version = parser.version
    words = list(tokens)
    if serve:
        words = _positional_model(words, version)
    words = _with_config(words, parser, serve=serve, read_config=read_config)
    words = [new for i, word in enumerate(words) for new in _spelled(words, i, word, version)]
    return words if version < _DOTTED_SINCE else _with_objects(words, version)


def _positional_model(words: list[Token], version: Version) -> list[Token]:
    index = next(
        (i for i, w in enumerate(words) if w.text == "--model" or w.text.startswith("--model=")),
        None,
    )
    if index is not None:
        if version < _MODEL_OPTION_SINCE:
            raise WordsRefused(
                "With `vllm serve`, you should provide the model as a positional argument or in "
                "a config file instead of via the `--model` option.",
                words[index].origin,
            )
        word = words[index]
        if word.text != "--model":
            model = word.replaced(word.text.removeprefix("--model="))
            return [model, *words[:index], *words[index + 1 :]]
        if index + 1 == len(words):
            raise WordsRefused("argument --model: expected one argument", word.origin)
        value = words[index + 1]
        model = Token(value.text, word.origin + value.origin, value.missing)
        return [model, *words[:index], *words[index + 2 :]]
    named = any(_SERVED_NAME.match(word.text) for word in words)
    from_file = any(word.text.partition("=")[0] == "--config" for word in words)
    first = words[0].text.startswith("-") if words else False
    if version >= _SERVED_NAME_RULE_SINCE and named and first and not from_file:
        raise WordsRefused(
            "`model` should be provided as the first positional argument when using `vllm serve`. "
            "i.e. `vllm serve <model> --<arg> <value>`."
        )
    return words


def _with_config(
    words: list[Token], parser: Parser, *, serve: bool, read_config: ReadConfig
) -> list[Token]:
    """The file's arguments put before the command's own, so that these win."""
    places = [i for i, word in enumerate(words) if word.text == "--config"]
    if not places:
        return words
    index = places[0]
    if len(places) > 1:
        raise WordsRefused("More than one config file specified!", words[places[1]].origin)
    if index + 1 == len(words):
        raise WordsRefused(
            "No config file specified! Please check your command-line arguments.",
            words[index].origin,
        )
    file = words[index + 1]
    if file.missing:
        # Which file it is only the user knows; what it says cannot be counted.
        return words
    origin = words[index].origin + file.origin
    extension = file.text.rpartition(".")[2]
    if extension not in {"yaml", "yml"}:
        raise WordsRefused(f"Config file must be of a yaml/yml type. {extension} supplied", origin)
    config = read_config(file.text)
    if config is None:
        return words
    from_file = [Token(text) for text in _config_words(config, parser)]
    rest = [*words[:index], *words[index + 2 :]]
    given = bool(rest) and not rest[0].text.startswith("-")
    if not serve:
        return [*from_file, *rest]
    if not given and not any(word.text == "--model" for word in from_file):
        raise WordsRefused(
            "No model specified! Please specify model either as a positional argument or in a "
            "config file.",
            origin,
        )
    return [*rest[:1], *from_file, *rest[1:]] if given else [*from_file, *rest]


_NEGATED_IN_FILES_SINCE: Version = (0, 28, 0)
_OBJECTS_IN_FILES_SINCE: Version = (0, 16, 0)


def _config_words(config: Mapping[str, Any], parser: Parser) -> list[str]:
    words: list[str] = []
    for key, value in config.items():
        flag = f"--{key}"
        argument = parser.by_spelling.get(flag.replace("_", "-"))
        text_boolean = argument is not None and argument.action == "boolean"
        if isinstance(value, bool) and not text_boolean:
            negation = f"--no-{key}"
            if value:
                words.append(flag)
            elif parser.version >= _NEGATED_IN_FILES_SINCE and negation in parser.by_spelling:
                words.append(negation)
        elif isinstance(value, list):
            items = cast(list[object], value)
            words += [flag, *(str(item) for item in items)] if items else []
        elif isinstance(value, dict) and parser.version >= _OBJECTS_IN_FILES_SINCE:
            words += [flag, json.dumps(value)]
        else:
            words += [flag, str(cast(object, value))]
    return words


def _spelled(words: Sequence[Token], index: int, word: Token, version: Version) -> list[Token]:
    """One word with dashes for underscores in its flag, and -O written out."""
    text = word.text
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        if version < _KEYS_KEPT_SINCE:
            name = "--" + name[2:].replace("_", "-")
        else:
            name = _FLAG_NAME.sub(lambda match: match[0].replace("_", "-"), name, count=1)
        return [word.replaced(f"{name}{equals}{value}")]
    level = next((flag for since, flag in reversed(_LEVEL_KEYS) if version >= since), None)
    if not text.startswith("-O") or level is None:
        return [word]
    if text == "-O":
        after = words[index + 1].text if index + 1 < len(words) else ""
        return [word.replaced(level) if after in {"0", "1", "2", "3"} else word]
    if text[2] == "." and version < _DOTTED_LEVEL_UNTIL:
        key = text if version < _LEVEL_KEYS[-1][0] else text.replace("-O", "-cc", 1)
        return [word.replaced(key)]
    value = text[3:] if text[2] == "=" else text[2:]
    if level.startswith("--"):
        return [word.replaced(level), word.replaced(value)]
    return [word.replaced(f"{level}={value}")]


def _with_objects(words: Sequence[Token], version: Version) -> list[Token]:
    """--x.key value and --x.list+ item gathered into one --x '{…}' at the end."""
    objects: dict[str, dict[str, Any]] = {}
    origins: dict[str, tuple[int, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    kept: list[Token] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, text = word.text.partition("=")
        dash = "-" if version >= _LISTS_SINCE else "--"
        if not word.text.startswith(dash) or "." not in name:
            kept.append(word)
            continue
        value = word.replaced(text)
        if not equals:
            if not queue:
                raise WordsRefused(f"argument {name}: expected one argument", word.origin)
            value = queue.pop(0)
        flag, *keys = name.split(".")
        if len(keys) > _DEEPEST:
            raise WordsRefused(f"argument {flag}: keys within more than {_DEEPEST}", word.origin)
        keys, content = _content(keys, value, version)
        inner: Any = content
        for key in reversed(keys):
            inner = {key: inner}
        _merge(objects.setdefault(flag, {}), inner)
        origins[flag] = origins.get(flag, ()) + word.origin + value.origin
        missing[flag] = missing.get(flag, ()) + value.missing
    for flag, content in objects.items():
        kept.append(Token(flag, origins[flag]))
        kept.append(Token(json.dumps(content), origins[flag], missing[flag]))
    return kept


def _content(keys: list[str], value: Token, version: Version) -> tuple[list[str], Any]:
    text = value.text
    if version >= _LISTS_SINCE and keys[-1].endswith("+"):
        return [*keys[:-1], keys[-1][:-1]], text.split(",")
    if version < _TYPED_KEYS_SINCE:
        return keys, text
    try:
        return keys, json.loads(text)
    except (ValueError, RecursionError):
        if version < _SCALED_KEYS_SINCE:
            return keys, text
    try:
        return keys, human_readable_int(text)
    except ValueError:
        return keys, text


def _merge(target: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        known = target.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(cast(dict[str, Any], known), cast(dict[str, Any], value))
        elif isinstance(known, list) and isinstance(value, list):
            cast(list[object], known).extend(cast(list[object], value))
        else:
            target[key] = value
