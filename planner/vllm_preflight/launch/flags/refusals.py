"""Why a release's parser refuses a command, and the command with the least changed.

The message is vLLM's; the explanation says since or until when a flag exists, its nearest
name and what replaces it; the corrections are tried before they are offered.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from vllm_preflight.launch.flags.parser import ArgumentsRefused
from vllm_preflight.launch.flags.preprocess import Token
from vllm_preflight.launch.flags.successors import Joined, join_flags, successor
from vllm_preflight.launch.flags.table import PLACE_TAKEN, Lifetime, Parser, lifetime
from vllm_preflight.launch.flags.values import human_readable_int, shortened
from vllm_preflight.launch.ropes import OwnRope
from vllm_preflight.launch.versions import format_version

_CLOSE = 0.75
_LONG_DASHES = "–—−‒―"
_TASK_HINT = (
    ". Hint: --task is not a vllm serve option. For embedding, reranking, or reward models, use "
    "--runner pooling"
)
_DECIMAL_COMMA = re.compile(r"(\d+),(\d{1,2})")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")
_SCALED = re.compile(r"\d+[kKmMgG]")
_PERCENT = re.compile(r"(\d{1,3})\s*%")
_MOST_NAMED = 4
# Beyond these a command is not mistyped, but something else.
_MOST_LISTED, _MOST_EXPLAINED = 40, 8
LEVELS_SAID = "-O takes 0 to 3; the compilation config is written -cc '{…}' or -cc.key."
# Keys of the compilation config that have another name now.
_COMPILATION_KEYS = {"level": "mode"}
_ITEM = re.compile(r"([a-z_]+)=(\d+)")
# Short names of dtypes, which vLLM's parser does not know.
_DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
# A model's page on the Hub, which people paste for its id.
_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)(?:/.*)?"
)
_STRAIGHT = str.maketrans("“”„«»‘’‚", '"""""' + "'''")
_BROKEN_LINE = (
    "A backslash before a blank continues no line: it makes a word of the blank. Let nothing "
    "follow it on its line."
)
_BRACKETS = "Square brackets mark what may be left out; write it without them, or not at all."
_TORN_JSON = "A shell takes JSON apart that is not quoted; write it in single quotes."
_CURLY = "Curly quotes are none to a shell nor to JSON; write straight ones."


@dataclass(frozen=True)
class Refusal:
    """VLLM's words, what they come from, and which of the user's words to change.

    `replaced` maps the index of a word to what is to stand there, None to leave it out;
    `corrected` are the user's words as vLLM takes them, where such a change is enough.
    """

    message: str
    explanation: str = ""
    remedies: tuple[str, ...] = ()
    replaced: Mapping[int, str | None] = field(default_factory=dict[int, str | None])
    corrected: tuple[str, ...] | None = None


def refuse_extras(
    extras: Sequence[Token],
    words: Sequence[str],
    parser: Parser,
    own_rope: OwnRope | None = None,
) -> Refusal:
    """The refusal of words that belong to no argument of the release.

    `own_rope` is the model's, all of which must be told where part of it is another.
    """
    listed = " ".join(shortened(token.text) for token in extras[:_MOST_LISTED])
    listed += " …" if len(extras) > _MOST_LISTED else ""
    message = f"vllm: error: unrecognized arguments: {listed}"
    if any(token.text.partition("=")[0] == "--task" for token in extras):
        message += _TASK_HINT
    explanations: list[str] = []
    remedies: list[str] = []
    groups = _grouped(extras)[:_MOST_EXPLAINED]
    together = join_flags([_said(group) for group in groups], words, parser, own_rope)
    replaced: dict[int, str | None] = dict(together.words)
    for group in groups:
        indices = [index for token in group for index in token.origin]
        said, remedy, change = _explained(group, indices, words, parser, together)
        # Of flags that are one object now the first says so.
        explanations.append(_new_sentences(said, explanations))
        if together.instead.get(_said(group)[0]) != "":
            remedies.append(remedy)
        replaced.update(change)
    return Refusal(message, " ".join(explanations), tuple(dict.fromkeys(remedies)), replaced)


def _new_sentences(said: str, before: Sequence[str]) -> str:
    """What is said without the sentence on the place of a flag that was said before."""
    own, mark, place = said.partition(PLACE_TAKEN)
    return own if any(text.endswith(mark + place) for text in before if mark) else said


def _grouped(extras: Sequence[Token]) -> list[list[Token]]:
    """Each unknown flag with the values after it."""
    groups: list[list[Token]] = []
    for token in extras:
        is_flag = token.text.startswith(("-", *_LONG_DASHES))
        if is_flag or not groups:
            groups.append([token])
        else:
            groups[-1].append(token)
    return groups


def _said(group: Sequence[Token]) -> tuple[str, str]:
    """An unknown flag and its value."""
    spelling, _, attached = group[0].text.partition("=")
    return spelling, " ".join(token.text for token in group[1:]) or attached


def _explained(
    group: Sequence[Token],
    indices: Sequence[int],
    words: Sequence[str],
    parser: Parser,
    together: Joined,
) -> tuple[str, str, dict[int, str | None]]:
    spelling = group[0].text.partition("=")[0].partition(".")[0]
    written = shortened(" ".join(words[index] for index in sorted(set(indices))))
    leave_out: dict[int, str | None] = dict.fromkeys(indices)
    version = format_version(parser.version)
    if not spelling.startswith(("-", *_LONG_DASHES)):
        whole = group[0].text
        if set(whole) <= {".", "…"} and whole:
            return f"{whole} stands for something that was left out.", f"no {whole}", leave_out
        if whole.startswith("[-"):
            return _BRACKETS, f"no {written}", {}
        if _torn(indices, words):
            return _TORN_JSON, "the JSON in single quotes", {}
        if not spelling.strip():
            return _BROKEN_LINE, "no blank after the backslash", leave_out
        return (
            f"The word {shortened(spelling)!r} belongs to no flag; quote values with blanks.",
            f"no {written}",
            leave_out,
        )
    if spelling[0] in _LONG_DASHES:
        name = spelling.lstrip("-" + _LONG_DASHES)
        meant = f"-{name}" if f"-{name}" in parser.by_spelling else f"--{name}"
        said = f"{spelling} begins with a long dash, not with two hyphens."
        return said, f"{meant} for {spelling}", _respelled(group[0], spelling, meant, words)
    if spelling == "-O" and parser.by_spelling.get("--optimization-level"):
        return _level(group, indices, words)
    life = lifetime(spelling)
    if life is not None:
        instead = (
            together.instead[life.flag]
            if life.flag in together.instead
            else successor(life.flag, _said(group)[1], words, parser.version)
        )
        return _outlived(life, written, leave_out, parser, instead)
    near = nearest_spelling(spelling, parser)
    said = f"vLLM {version} has no {shortened(spelling)}"
    if near is None:
        return f"{said}.", f"no {written}", leave_out
    return (
        f"{said}; did you mean {near}?",
        f"{near} for {shortened(spelling)}",
        _respelled(group[0], spelling, near, words),
    )


def _level(
    group: Sequence[Token], indices: Sequence[int], words: Sequence[str]
) -> tuple[str, str, dict[int, str | None]]:
    """-O that is no level: since it is one, the compilation config has another flag."""
    written = " ".join(words[index] for index in sorted(set(indices)))
    config = compilation_config(written)
    if len(group) != 2 or config is None:
        return LEVELS_SAID, f"no {shortened(written)}", {}
    first, *rest = indices
    return LEVELS_SAID, config, {first: config, **dict.fromkeys(rest)}


def compilation_config(written: str) -> str | None:
    """What -O said of the compilation config before it was a level, in one word of today.

    None where it was no object and no key of one.
    """
    said = written.removeprefix("-O")
    if said.startswith("."):
        return f"-cc{said}"
    try:
        config: object = json.loads(said.lstrip(" ="))
    except ValueError:
        return None
    if not isinstance(config, dict):
        return None
    named = {_COMPILATION_KEYS.get(k, k): v for k, v in cast(dict[str, object], config).items()}
    return f"-cc={json.dumps(named)}"


def _torn(indices: Sequence[int], words: Sequence[str]) -> bool:
    """Whether the words are pieces of JSON that a shell has split at its blanks."""
    before = "".join(words[: min(indices, default=0) + 1])
    opened = max(before.rfind("{"), before.rfind("["))
    return opened >= 0 and max(before.find("}", opened), before.find("]", opened)) in {
        -1,
        len(before) - 1,
    }


def _outlived(
    life: Lifetime,
    written: str,
    leave_out: dict[int, str | None],
    parser: Parser,
    instead: str | None,
) -> tuple[str, str, dict[int, str | None]]:
    said = life.absent_in(parser.version)
    early = life.since is not None and parser.version < life.since
    if early and life.since is not None:
        remedy = f"no {written}, or vLLM {format_version(life.since)}"
        return said, remedy, leave_out
    said = life.gone_in(parser.version)
    if life.replaced_by is None:
        return said, f"no {written}", leave_out
    if instead is None:
        # What to write depends on the model: a line without it would be another launch.
        return said, f"{life.replaced_by} in place of {written}", {}
    if not instead:
        return said, f"no {written}", leave_out
    first, *rest = leave_out
    change: dict[int, str | None] = {first: instead, **dict.fromkeys(rest)}
    return said, f"{instead} in place of {written}", change


def _respelled(
    token: Token, spelling: str, meant: str, words: Sequence[str]
) -> dict[int, str | None]:
    """The word with the flag's right name."""
    index = next(iter(token.origin), None)
    if index is None:
        return {}
    if not meant.startswith("--") and words[index].startswith(meant):
        # -tp2 for -tp: its value stays attached, as argparse takes it.
        return {index: f"{meant}={words[index].removeprefix(meant)}"}
    rest = words[index].partition("=")
    return {index: meant + rest[1] + rest[2]}


def nearest_spelling(spelling: str, parser: Parser) -> str | None:
    """The release's flag whose name is most like the one written, None where none is."""
    dashed = "--" + spelling.lstrip("-").replace("_", "-")
    long = [name for name in parser.by_spelling if name.startswith("--")]
    near = difflib.get_close_matches(dashed, long, n=1, cutoff=_CLOSE)
    if near:
        return near[0]
    # -tp2: a short flag with its value attached.
    short = re.fullmatch(r"(-[a-z]+)\d+", spelling)
    return short[1] if short and short[1] in parser.by_spelling else None


def refuse_argument(error: ArgumentsRefused, words: Sequence[str], parser: Parser) -> Refusal:
    """The refusal of one argument: a value its type does not take, or a doubtful name."""
    message = f"vllm serve: error: {error.message}"
    if error.message.startswith("ambiguous option"):
        said, remedies = _ambiguous(error, parser)
        left_out = [*error.origin, *(_value_behind(error, words) if said else ())]
        return Refusal(message, said, remedies, dict.fromkeys(left_out))
    argument = parser.by_spelling.get(error.spelling)
    value_at = error.origin[-1] if error.origin else None
    if argument is None or value_at is None:
        return Refusal(message)
    name, equals, attached = words[value_at].partition("=")
    attached_here = bool(equals) and words[value_at].startswith("-")
    value = attached if attached_here else words[value_at]
    straight = value.translate(_STRAIGHT)
    said = "" if straight == value else _CURLY
    better = straight if said else _better_value(value, tuple(map(str, argument.choices)))
    if not argument.takes_value:
        return Refusal(
            message,
            f"{argument.flag} is a switch: it takes no value.",
            (f"{argument.flag} alone, or {argument.negations[0]}",)
            if argument.negations
            else (f"{argument.flag} alone",),
            {value_at: _switched(argument.negations, name, attached)},
        )
    if better is None and argument.type == "json":
        better = _counted(value)
    if better is None or argument.action == "lora_modules":
        return Refusal(message, said)
    word = f"{name}={better}" if attached_here else better
    return Refusal(message, said, (f"{error.spelling} {better}",), {value_at: word})


def _switched(negations: Sequence[str], name: str, value: str) -> str:
    off = value.strip().lower() in {"false", "0", "no"}
    return negations[0] if off and negations and name not in negations else name


def _ambiguous(error: ArgumentsRefused, parser: Parser) -> tuple[str, tuple[str, ...]]:
    """What an ambiguous beginning may mean; whether the whole name existed once."""
    life = lifetime(error.spelling)
    if life is not None:
        return life.gone_in(parser.version), (f"no {error.spelling}",)
    full = [name for name in parser.by_spelling if name.startswith(error.spelling)]
    return "", tuple(full[:_MOST_NAMED])


def _value_behind(error: ArgumentsRefused, words: Sequence[str]) -> Sequence[int]:
    """The word behind a flag that is no more, if it was its value."""
    place = error.origin[-1] + 1 if error.origin else len(words)
    attached = bool(error.origin) and "=" in words[error.origin[-1]]
    return [place] if place < len(words) and not attached and words[place][:1] != "-" else []


def _better_value(text: str, choices: Sequence[str]) -> str | None:
    """The value that was probably meant: digits grouped, a percentage, a near choice."""
    if match := _PERCENT.fullmatch(text.strip()):
        return f"{int(match[1]) / 100:g}"
    if _GROUPED.fullmatch(text.strip()):
        return text.strip().replace(",", "")
    if match := _DECIMAL_COMMA.fullmatch(text.strip()):
        return f"{match[1]}.{match[2]}"
    if _SCALED.fullmatch(text.strip()):
        return str(human_readable_int(text.strip()))
    named = _DTYPES.get(text.lower())
    if named in choices:
        return named
    return next(iter(difflib.get_close_matches(text, choices, n=1, cutoff=0.6)), None)


def _counted(text: str) -> str | None:
    """image=1,video=0, as the older releases took it, as JSON."""
    items = [_ITEM.fullmatch(part) for part in text.split(",")]
    found = {item[1]: int(item[2]) for item in items if item is not None}
    return json.dumps(found) if len(found) == len(items) else None


def refuse_model(
    name: str, origin: Sequence[int] = (), words: Sequence[str] = ()
) -> Refusal | None:
    """The refusal of a model's name that is quoted by a word processor, or an address.

    `origin` are the indices of the `words` that name it.
    """
    if name and not name.strip():
        message = f"HFValidationError: Repo id must use alphanumeric chars: {name!r}"
        leave_out = dict.fromkeys(origin)
        return Refusal(message, _BROKEN_LINE, ("no blank after the backslash",), leave_out)
    straight = name.translate(_STRAIGHT)
    quoted = len(name) >= len("“a”") and straight[0] != name[0] and straight[-1] != name[-1]
    address = _ADDRESS.fullmatch(name)
    if not quoted and address is None:
        return None
    better = address[1] if address is not None else straight.strip("\"'")
    message = (
        "HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
        if address is not None
        else "HFValidationError: Repo id must use alphanumeric chars, '-', '_' or '.': "
    )
    replaced = {
        index: words[index].replace(name, better) for index in origin if name in words[index]
    }
    said = _CURLY if address is None else "vLLM takes the model's id, not its address."
    return Refusal(f"{message}{name!r}", said, (better,), replaced)


def corrected(words: Sequence[str], refusal: Refusal) -> list[str]:
    """The user's words with the refusal's changes made."""
    kept = ((index, word) for index, word in enumerate(words))
    changed = (refusal.replaced.get(index, word) for index, word in kept)
    return [word for word in changed if word is not None]
