"""A literal vLLM command, read into the fields of a request as that release's parser reads it.

The text is never executed; of the files it names only that of --config is read.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.launch.beside import (
    VARIABLES,
    curly_words,
    device_of,
    is_spread,
    named_release,
    platform_of,
    unexported,
)
from vllm_preflight.launch.flags.bearing import flag_of
from vllm_preflight.launch.flags.files import read_config_file
from vllm_preflight.launch.flags.named import refuse_names, unread_variables
from vllm_preflight.launch.flags.parser import ArgumentsRefused, Given, Reading, read_arguments
from vllm_preflight.launch.flags.preprocess import Token, WordsRefused, preprocess
from vllm_preflight.launch.flags.refusals import (
    Refusal,
    corrected,
    refuse_argument,
    refuse_extras,
    refuse_model,
)
from vllm_preflight.launch.flags.table import Parser, parser_of
from vllm_preflight.launch.flags.together import refuse_together
from vllm_preflight.launch.line import changed_line, is_secret
from vllm_preflight.launch.meanings import bearing_values, refuse_values
from vllm_preflight.launch.ropes import OwnRope
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.launch.words.devices import Visible, by_environment
from vllm_preflight.launch.words.expand import Expanded
from vllm_preflight.launch.words.find import find_server_command
from vllm_preflight.launch.words.server import ServerCommand

_UNNAMED = "unnamed"
# Keys of older releases' flags in the model's config.
_ROPE_ARGUMENTS = ("rope_scaling", "rope_theta")
# The release from which vLLM's images start `vllm serve` and not the older module.
_IMAGES_SERVE_SINCE = (0, 11, 1)
# The module takes a model by place since then, and never reads it.
_MODULE_TAKES_MODEL_SINCE = (0, 10, 0)
# How often a correction may need another one.
_MOST_CORRECTIONS = 8


@dataclass(frozen=True)
class ParsedCommand:
    """What a command says, sorted by who reads it.

    Attributes:
        fields: for `StartupRequest`, by its field names; validated. Without `model` where
            the command names none.
        extra: arguments that only `resolve_launch` reads, by vLLM's names.
        environment: variables set for the command that may bear on memory; no secrets.
        warnings: what could not be taken into account, as sentences.
        refusal: why vLLM does not take the command; `fields` then hold only the model.
        default_model: what vLLM serves where the command names no model.
        words: the user's words after `vllm serve`, as a program gets them.
        visible: the least number of GPUs that the text lets the launch see.
        platform: what the image is built for ("rocm", "cpu", …) where that is not CUDA.
        spread: over several machines or a cluster: what one machine shows does not decide.
        unread: files whose arguments are not known here.
        command: where the words were found.
    """

    fields: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()
    refusal: Refusal | None = None
    default_model: str | None = None
    words: tuple[str, ...] = ()
    visible: Visible | None = None
    platform: str | None = None
    spread: bool = False
    unread: tuple[str, ...] = ()
    command: ServerCommand | None = None

    @property
    def batch_runner(self) -> bool:
        """Whether the command is `vllm run-batch`, whose engine has defaults of its own."""
        return self.command is not None and self.command.entry == "batch"

    @property
    def config_overrides(self) -> dict[str, Any]:
        """Keys of the model's config that the command replaces (--hf-overrides and ropes)."""
        ropes = {key: self.extra[key] for key in _ROPE_ARGUMENTS if key in self.extra}
        overrides = self.extra.get("hf_overrides", {})
        return {**ropes, **(overrides if isinstance(overrides, Mapping) else {})}

    def line(self, changes: Sequence[str] = (), *, model: str | None = None) -> str:
        """The user's whole text, with flags added or given another value.

        Of a refused command it is the text that vLLM would take, where a correction is
        known. `model` is the one that the line does not name.
        """
        if self.command is None:
            return ""
        words = list(self.words)
        if self.refusal is not None and self.refusal.corrected is not None:
            words = list(self.refusal.corrected)
        if model is not None:
            words = [*(() if self.command.entry == "serve" else ("--model",)), model, *words]
        return changed_line(self.command, words, changes).strip()


def parse_command(
    text: str,
    version: str | None = None,
    *,
    model: str | None = None,
    own_rope: OwnRope | None = None,
) -> ParsedCommand:
    """The arguments of the vLLM server that `text` starts, as `version` reads them.

    Without a version the text decides (the image's tag, what it installs), else the newest
    known release. `model` is the one named beside the command. What vLLM's parser would not
    take is in `refusal`; its correction may need what the model's rope is (`own_rope`).

    Raises:
        InvalidRequest: no vLLM server, or something the text leaves open that decides the
            answer; every such thing is named.
    """
    command = find_server_command(text)
    return parse_server(command, version, model=model, own_rope=own_rope)


def parse_server(
    command: ServerCommand,
    version: str | None = None,
    *,
    model: str | None = None,
    own_rope: OwnRope | None = None,
) -> ParsedCommand:
    """The arguments of a server that was found, as `version` reads them; see parse_command."""
    warnings = [*command.notes, *unexported(command), *curly_words(command)]
    tagged = named_release(command, version, warnings)
    parser = parser_of(parse_version(version or tagged))
    warnings += unread_variables(command.environment, parser.version)
    reader = _Reader(command, parser, model, warnings, own_rope=own_rope)
    fields: dict[str, Any] = {} if tagged is None else {"vllm_version": tagged}
    try:
        reading = reader.read(command.words)
    except _Refused as refused:
        words = [word.text for word in command.words]
        refusal = reader.tried(refused.refusal, words)
        name = _named_model(words)
        named = {} if name is None else {"model": name}
        return reader.parsed({**fields, **named}, {}, refusal)
    _name_missing(reading, model)
    reader.check_place(reading)
    values, extra = bearing_values(reading.given, parser.version, warnings)
    fields |= values
    if reading.model is not None and reading.model.origin and not reading.model.missing:
        fields["model"] = reading.model.text
    elif reading.model is None and "model" not in fields and model is None and reader.unread:
        raise InvalidRequest(
            f"The command names no model, and the file {reader.unread[0]!r} of its --config is not "
            "here.",
            "Name the model in the command, or put the file where it can be read.",
        )
    elif reading.model is None and "model" not in fields and model is None:
        warnings.append(
            f"The command names no model; vLLM serves its default, {parser.default_model}."
        )
    platform = device_of(reading)
    refusal = reader.wrong_model(reading, fields) or refuse_values(fields, extra, parser.version)
    if refusal is not None:
        kept = {name: fields[name] for name in ("model", "vllm_version") if name in fields}
        parsed = reader.parsed(kept, {}, refusal)
        return replace(parsed, platform=parsed.platform or platform)
    # A request may name the model beside a command that does not.
    validate_request(StartupRequest, {"model": _UNNAMED, **fields})
    parsed = reader.parsed(fields, extra, None)
    return replace(parsed, spread=is_spread(reading), platform=parsed.platform or platform)


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _named_model(words: Sequence[str]) -> str | None:
    """The model of a command that could not be read: its first word, or that of --model."""
    if words and not words[0].startswith("-"):
        return words[0]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, _, value = word.partition("=")
        if flag == "--model":
            return value or following or None
    return None


@dataclass
class _Reader:
    """One command with the parser that reads it."""

    command: ServerCommand
    parser: Parser
    model: str | None
    warnings: list[str]
    unread: list[str] = field(default_factory=list[str])
    own_rope: OwnRope | None = None

    @property
    def _serves(self) -> bool:
        image = self.command.entry == "image" and self.parser.version >= _IMAGES_SERVE_SINCE
        return self.command.entry == "serve" or image

    def read(self, words: Sequence[Expanded]) -> Reading:
        """The arguments of the words; _Refused with what vLLM says against them."""
        tokens = [Token(word.text, (i,), word.missing) for i, word in enumerate(words)]
        texts = [word.text for word in words]
        try:
            reading = self._read(tokens)
        except WordsRefused as error:
            raise _Refused(Refusal(error.message, "", (), dict.fromkeys(error.origin))) from error
        except ArgumentsRefused as error:
            raise _Refused(refuse_argument(error, texts, self.parser)) from error
        named = [*([reading.model] if reading.model is not None else []), *reading.extras]
        if reading.extras and not any(token.missing for token in named):
            raise _Refused(refuse_extras(reading.extras, texts, self.parser, self.own_rope))
        given = {item.argument.dest: item for item in reading.given}
        version, environment = self.parser.version, self.command.environment
        refusal = refuse_together(given, environment, version) or refuse_names(
            given, environment, version
        )
        if refusal is not None:
            raise _Refused(refusal)
        return reading

    def wrong_model(self, reading: Reading, fields: Mapping[str, Any]) -> Refusal | None:
        """The refusal of the model's name, with the name that was meant put in its place."""
        words = [word.text for word in self.command.words]
        named = [reading.model] if reading.model is not None else []
        origins = [item.origin for item in (*named, *reading.given) if item.origin]
        name = str(fields.get("model", ""))
        origin = [i for found in origins for i in found if name and name in words[i]]
        refusal = refuse_model(name, origin, words)
        return None if refusal is None else self.tried(refusal, words)

    def check_place(self, reading: Reading) -> None:
        """Refuse a model that the older server module takes and does not serve.

        Source: vLLM entrypoints/openai/api_server.py: only `vllm serve` reads model_tag.
        """
        if self._serves or reading.model is None:
            return
        if self.command.entry == "batch":
            raise InvalidRequest(
                f"vllm run-batch does not take a model that stands by itself "
                f"({reading.model.text[:80]!r}): it would stop.",
                "Write --model before it.",
            )
        takes = self.parser.version >= _MODULE_TAKES_MODEL_SINCE
        then = f"serve {self.parser.default_model}" if takes else "stop"
        raise InvalidRequest(
            f"The server module does not read a model that stands by itself "
            f"({reading.model.text[:80]!r}): it would {then}.",
            "Write --model before it, or start it with vllm serve.",
        )

    def _read(self, tokens: Sequence[Token]) -> Reading:
        if self.model is not None and not _names_model(tokens):
            tokens = [*(() if self._serves else (Token("--model"),)), Token(self.model), *tokens]
        words = preprocess(tokens, self.parser, serve=self._serves, read_config=self._read_config)
        return read_arguments(words, self.parser)

    def _read_config(self, name: str) -> Mapping[str, Any] | None:
        content = read_config_file(name)
        if content is None and name not in self.unread:
            self.unread.append(name)
        return content

    def tried(self, refusal: Refusal, words: Sequence[str]) -> Refusal:
        """The refusal with its correction only where the corrected command is taken."""
        changed, remedies, step = list(words), list(refusal.remedies), refusal
        for _ in range(_MOST_CORRECTIONS):
            if not step.replaced:
                break
            changed = corrected(changed, step)
            try:
                self.read([Expanded(word) for word in changed])
            except _Refused as refused:
                step = refused.refusal
                remedies += step.remedies
                continue
            return Refusal(
                refusal.message, refusal.explanation, tuple(remedies), {}, tuple(changed)
            )
        return Refusal(refusal.message, refusal.explanation, refusal.remedies)

    def parsed(
        self, fields: Mapping[str, Any], extra: Mapping[str, Any], refusal: Refusal | None
    ) -> ParsedCommand:
        """Everything the command says."""
        environment = self.command.environment
        limits = [*self.command.visible, *by_environment(environment)]
        return ParsedCommand(
            fields=fields,
            extra=extra,
            environment=_bearing(environment),
            warnings=tuple(self.warnings),
            refusal=refusal,
            default_model=self.parser.default_model,
            words=tuple(word.text for word in self.command.words),
            visible=min(limits, key=lambda limit: limit.count, default=None),
            platform=platform_of(self.command),
            unread=tuple(self.unread),
            command=self.command,
        )


def _names_model(tokens: Sequence[Token]) -> bool:
    """Whether the words name a model: first, as vLLM wants it, or by --model or a file."""
    if tokens and not tokens[0].text.startswith("-"):
        return True
    return any(token.text.partition("=")[0] in {"--model", "--config"} for token in tokens)


def _name_missing(reading: Reading, model: str | None) -> None:
    """Refuse to guess: name everything the text leaves open that decides the answer."""
    asked: list[str] = []
    if reading.model is not None and reading.model.missing and model is None:
        asked.append(f"{_listed(reading.model.missing)} (the model)")
    asked += [
        f"{_listed(given.missing)} ({given.spelling})"
        for given in reading.given
        if given.missing and _decides(given)
    ]
    asked += [_listed(token.missing) for token in reading.extras if token.missing]
    if asked:
        raise InvalidRequest(
            f"The command leaves open {', '.join(asked)}.",
            "Write the value in its place, or set the variable in the text.",
        )


def _listed(missing: Sequence[str]) -> str:
    names = dict.fromkeys(missing)
    return " and ".join(shlex.quote(name) if " " in name else name for name in names)[:80]


def _decides(given: Given) -> bool:
    """Whether the argument's value can change the answer."""
    flag = flag_of(given.argument.dest)
    return flag is not None and flag.reckoned


def _bearing(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may bear on memory. Secrets are never kept."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(VARIABLES) and not is_secret(name)
    }
