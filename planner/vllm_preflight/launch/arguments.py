"""A literal vLLM command, read into the fields of a request.

The text is never executed and no file it names is opened.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.launch.command_line import find_server_command
from vllm_preflight.launch.flags import (
    AUTO_LENGTH,
    Flag,
    abbreviated_flag,
    find_flag,
    nearest_flag,
    read_switch,
    read_value,
    unavailable,
)
from vllm_preflight.launch.nested import read_mm_limits
from vllm_preflight.launch.versions import parse_version

_NEGATION = "--no-"
_OPTIMIZATION = "-O"
_END_OF_FLAGS = "--"
# How vLLM writes "not given" on a command line.
_NOT_GIVEN = frozenset({"None", ""})
_UNNAMED = "unnamed"
# Flags of older releases that became keys of --speculative-config.
_DRAFT_ARGUMENTS = {
    "speculative_model": "model",
    "num_speculative_tokens": "num_speculative_tokens",
}
# Flags of older releases that became keys of --hf-overrides.
_ROPE_ARGUMENTS = ("rope_scaling", "rope_theta")
_VARIABLES = ("VLLM_", "CUDA_", "NVIDIA_VISIBLE", "PYTORCH_", "NCCL_")
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


@dataclass(frozen=True)
class ParsedCommand:
    """What a command says, sorted by who reads it.

    Attributes:
        fields: for `StartupRequest`, by its field names; validated. Without `model` where
            the command names none.
        extra: arguments that only `resolve_launch` reads, by vLLM's names.
        environment: variables set for the command that may bear on memory; no secrets.
        unknown: flags without a known effect on memory, as written.
        warnings: what could not be taken into account, as sentences.
    """

    fields: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def config_overrides(self) -> dict[str, Any]:
        """Keys of the model's config that the command replaces (--hf-overrides and ropes)."""
        ropes = {key: self.extra[key] for key in _ROPE_ARGUMENTS if key in self.extra}
        return {**ropes, **self.extra.get("hf_overrides", {})}


@dataclass
class _Reading:
    """The words still to read and what has been read from them."""

    words: deque[str]
    values: dict[Flag, Any] = field(default_factory=dict[Flag, Any])
    nested: dict[Flag, dict[str, Any]] = field(default_factory=dict[Flag, dict[str, Any]])
    model: str | None = None
    unknown: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    def values_ahead(self, many: bool) -> list[str]:
        """The next words that are values, at most one unless `many`; taken off the list."""
        taken: list[str] = []
        while self.words and (many or not taken) and not _is_flag(self.words[0]):
            taken.append(self.words.popleft())
        return taken


def parse_command(text: str) -> ParsedCommand:
    """The arguments of the vLLM server that `text` starts.

    Raises:
        InvalidRequest: no vLLM server, a flag misspelt, or a value vLLM's
            parser would refuse; the sentence names flag, value and rule.
    """
    command = find_server_command(text)
    reading = _Reading(deque(command.words))
    while reading.words:
        _read_next(reading)
    return _assemble(reading, command.environment, command.image_version)


def _is_flag(word: str) -> bool:
    """Whether argparse would take the word for a flag: a dash, but not a negative number."""
    if not word.startswith("-") or word == "-":
        return False
    return not word[1:].replace(".", "", 1).isdigit()


def _read_next(reading: _Reading) -> None:
    word = reading.words.popleft()
    if word == _END_OF_FLAGS:
        return
    if not _is_flag(word):
        if reading.model is not None:
            raise InvalidRequest(
                f"The command has the word {word[:60]!r}, which belongs to no flag.",
                f"The model is already {reading.model[:60]!r}; quote values with spaces.",
            )
        reading.model = word
        return
    if word.startswith(_OPTIMIZATION) and word[2:].isdigit():
        reading.words.appendleft(word[2:])
        word = _OPTIMIZATION
    spelling, equals, value = word.partition("=")
    given = [value] if equals else None
    name, dot, path = spelling.partition(".")
    flag = find_flag(name) or _abbreviated(reading, name)
    if flag is not None and dot:
        _read_nested(reading, flag, spelling, path, given)
    elif flag is not None:
        _read_flag(reading, flag, spelling, given)
    elif not _read_negation(reading, spelling, given):
        _read_unknown(reading, spelling, given)


def _abbreviated(reading: _Reading, spelling: str) -> Flag | None:
    """The flag `spelling` is short for, with a warning that it was taken so."""
    flag = abbreviated_flag(spelling)
    if flag is not None:
        reading.warnings.append(f"{spelling} is read as {flag.flag}, as vLLM's parser does.")
    return flag


def _read_flag(reading: _Reading, flag: Flag, spelling: str, given: list[str] | None) -> None:
    if flag.kind == "switch":
        if given is None and reading.words and reading.words[0].lower() in {"true", "false"}:
            given = [reading.words.popleft()]
        reading.values[flag] = True if given is None else read_value(flag, spelling, given)
        return
    words = given if given is not None else reading.values_ahead(flag.takes_many)
    if not words:
        raise InvalidRequest(
            f"{spelling} needs a value.", f"Write {flag.flag} followed by its value."
        )
    if words[0] in _NOT_GIVEN and flag.name != "model":
        reading.values.pop(flag, None)
        return
    reading.values[flag] = read_value(flag, spelling, words)
    if flag.name == "config":
        reading.warnings.append(
            f"The file {words[0]!r} of --config is not read; give its arguments in the command."
        )


def _read_nested(
    reading: _Reading, flag: Flag, spelling: str, path: str, given: list[str] | None
) -> None:
    """One key of a JSON argument: `--compilation-config.mode 3`."""
    words = given if given is not None else reading.values_ahead(many=False)
    keys = path.split(".")
    # `-O.key` was how older releases set the compilation config.
    owner = find_flag("--compilation-config") if flag.name == "optimization_level" else flag
    if owner is None or not owner.is_nested or not words or not all(keys):
        raise InvalidRequest(
            f"{spelling} cannot be read as one key of a JSON argument with its value.",
            "Write for example --compilation-config.cudagraph_mode NONE",
        )
    target = reading.nested.setdefault(owner, {})
    for key in keys[:-1]:
        inner = target.setdefault(key, {})
        if not isinstance(inner, dict):
            raise InvalidRequest(
                f"{spelling} sets a key inside {key}, which already has a value.",
                "Give the argument as one JSON object.",
            )
        target = cast(dict[str, Any], inner)
    target[keys[-1]] = _json_or_text(words[0])


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read_negation(reading: _Reading, spelling: str, given: list[str] | None) -> bool:
    """`--no-x` for a known switch; says whether it was one."""
    dashed = spelling.replace("_", "-")
    if not dashed.startswith(_NEGATION):
        return False
    flag = find_flag("--" + dashed.removeprefix(_NEGATION))
    if flag is None or flag.kind != "switch":
        return False
    reading.values[flag] = False if given is None else not read_switch(given[0])
    return True


def _read_unknown(reading: _Reading, spelling: str, given: list[str] | None) -> None:
    near = nearest_flag(spelling)
    if near is not None:
        raise InvalidRequest(
            f"There is no flag {spelling[:60]}; did you mean {near}?",
            "Correct the flag and ask again.",
        )
    if given is None:
        reading.values_ahead(many=True)
    reading.unknown.append(spelling)


def _assemble(
    reading: _Reading, environment: Mapping[str, str], image_version: str | None
) -> ParsedCommand:
    for flag, nested in reading.nested.items():
        _merge_nested(reading, flag, nested)
    fields = {f.name: value for f, value in reading.values.items() if f.target == "request"}
    extra = {f.name: value for f, value in reading.values.items() if f.target == "extra"}
    if fields.get("max_model_len") == AUTO_LENGTH:
        extra["max_model_len"] = fields.pop("max_model_len")
    _modernise_drafts(fields, extra)
    if reading.model is not None:
        if fields.get("model", reading.model) != reading.model:
            reading.warnings.append(
                f"The model {reading.model!r} replaces --model {fields['model']!r}, as in vLLM."
            )
        fields["model"] = reading.model
    if str(fields.get("model", "")).startswith("$"):
        raise InvalidRequest(
            f"The model is the variable {fields['model'][:60]}, which the command does not set.",
            "Write the model's id in its place.",
        )
    _add_version(fields, image_version, reading.warnings)
    if "vllm_version" in fields:
        version = parse_version(fields["vllm_version"])
        notes = (unavailable(flag, version) for flag in reading.values)
        reading.warnings.extend(note for note in notes if note)
    reading.warnings.extend(
        f"{flag.flag} may change memory, but is not taken into account."
        for flag in reading.values
        if not flag.reckoned
    )
    # A request may name the model beside a command that does not.
    validate_request(StartupRequest, {"model": _UNNAMED, **fields})
    return ParsedCommand(
        fields, extra, _bearing(environment), tuple(reading.unknown), tuple(reading.warnings)
    )


def _merge_nested(reading: _Reading, flag: Flag, nested: Mapping[str, Any]) -> None:
    """Keys set one by one, into the JSON argument they belong to."""
    whole = reading.values.get(flag, {})
    if flag.kind == "limits":
        base = read_mm_limits(whole) if whole else {}
    else:
        base = json.loads(whole) if isinstance(whole, str) else whole
    merged = {**base, **nested}
    text = json.dumps(merged)
    # Read as if it had been written whole, so that its rules hold.
    reading.values[flag] = read_value(flag, flag.flag, [text])


def _modernise_drafts(fields: dict[str, Any], extra: dict[str, Any]) -> None:
    """The two flags for drafting of older releases, as a speculative_config."""
    draft = {
        key: extra.pop(name)
        for name, key in _DRAFT_ARGUMENTS.items()
        if name in extra and "speculative_config" not in fields
    }
    if draft:
        fields["speculative_config"] = json.dumps(draft)


def _bearing(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may bear on memory. Secrets are never kept."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_VARIABLES) and not any(word in name for word in _SECRETS)
    }


def _add_version(fields: dict[str, Any], image_version: str | None, warnings: list[str]) -> None:
    """The version an image's tag names, where it names one."""
    if image_version is None:
        return
    if image_version in {"latest", "nightly"}:
        warnings.append(
            f"The image's tag {image_version!r} names no release; the newest known one is assumed."
        )
        return
    parse_version(image_version)
    fields["vllm_version"] = image_version
