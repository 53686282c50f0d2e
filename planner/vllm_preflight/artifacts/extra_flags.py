"""Flags of vLLM that a user adds to a plan: those the plan knows, and the rest as written."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.launch.arguments import ParsedCommand, parse_command
from vllm_preflight.launch.flags.bearing import flag_of
from vllm_preflight.launch.flags.parser import Given, read_arguments
from vllm_preflight.launch.flags.preprocess import Token, preprocess
from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import parse_version

_UNNAMED = "unnamed"
# What the files themselves say, each in its own way; a config file could say any of it.
_OF_THE_FILES = frozenset(
    {
        *("--host", "--port", "--uds", "--headless", "--config"),
        *("--nnodes", "--node-rank", "--master-addr", "--master-port"),
        *("--data-parallel-size-local", "--data-parallel-address", "--data-parallel-rpc-port"),
        *("--data-parallel-rank", "--data-parallel-start-rank", "--data-parallel-backend"),
        *("--data-parallel-hybrid-lb", "--data-parallel-external-lb"),
        "--distributed-executor-backend",
    }
)
_SECRETS: Mapping[str, str] = {
    "--api-key": "set VLLM_API_KEY in vllm.env or a Kubernetes secret",
    "--hf-token": "set HF_TOKEN in vllm.env or the secret hf-token",
}
_TLS = frozenset({"--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs"})


def with_flags(request: PlanRequest, words: Sequence[str]) -> PlanRequest:
    """The request with vLLM's flags in `words` after those it has, as its release reads them.

    Flags that a plan knows become its fields, so that it is made with them; all else stays
    in `vllm_args` as it was written, for the engine to check in the whole command.

    Raises:
        InvalidRequest: a flag or value the parser refuses, one that is for the files to
            say, or one that is given twice.
    """
    written = [*_split(request.vllm_args), *words]
    if not written:
        return request
    _refuse_model_and_file(written)
    parsed = parse_command(f"vllm serve {_UNNAMED} {shlex.join(written)}", request.vllm_version)
    if parsed.refusal is not None:
        said = parsed.refusal.message.removeprefix("vllm: error: ")
        raise InvalidRequest(
            f"vLLM refuses the flags after --: {said}.",
            parsed.refusal.explanation or "Correct or leave out what it names.",
        )
    planned: set[int] = set()
    for given in _given(written, parse_version(request.vllm_version)):
        _refuse(given.argument.flag)
        if _is_planned(given, parsed):
            planned.update(given.origin)
    fields = {name: value for name, value in parsed.fields.items() if name != "model"}
    rest = shlex.join(word for place, word in enumerate(written) if place not in planned)
    return _changed(request, fields, rest)


def engine_arguments(words: Sequence[str], version: Version) -> dict[str, Any]:
    """The flags in `words` as arguments of the engine, by the names of the release's parser."""
    return {given.argument.dest: given.value for given in _given(words, version)}


def _split(vllm_args: str | None) -> list[str]:
    try:
        return shlex.split(vllm_args or "")
    except ValueError as error:
        raise InvalidRequest(
            f"vllm_args cannot be read as words of a shell: {error}.", "Close every quote."
        ) from error


def _changed(request: PlanRequest, fields: Mapping[str, Any], rest: str) -> PlanRequest:
    given = request.model_dump(include=set(request.model_fields_set) - {"vllm_args"})
    for name, value in fields.items():
        if given.get(name, value) not in (value, None):
            raise InvalidRequest(
                f"{name} is {given[name]!r} as an option and {value!r} after --.",
                "Give it once.",
            )
    further = {"vllm_args": rest} if rest else {}
    return validate_request(PlanRequest, {**given, **fields, **further})


def _given(words: Sequence[str], version: Version) -> list[Given]:
    """The arguments with the places of their words; the parser has taken them before."""
    parser = parser_of(version)
    tokens = [Token(_UNNAMED), *(Token(word, (place,)) for place, word in enumerate(words))]
    tokens = preprocess(tokens, parser, serve=True, read_config=lambda _: None)
    return read_arguments(tokens, parser).given


def _refuse_model_and_file(words: Sequence[str]) -> None:
    names = {word.partition("=")[0] for word in words}
    if "--config" in names:
        _refuse("--config")
    if "--model" in names or not words[0].startswith("-"):
        raise InvalidRequest(
            f"After -- there are only flags and their values, not {words[0][:60]!r}.",
            "Name the model before --.",
        )


def _refuse(flag: str) -> None:
    if flag in _OF_THE_FILES:
        raise InvalidRequest(
            f"{flag} is for the files to say: addresses, ranks and layouts are the plan's.",
            "Leave it out; each file has what it needs.",
        )
    if flag in _SECRETS:
        raise InvalidRequest(
            f"{flag} would write a secret into every file.", f"Leave it out: {_SECRETS[flag]}."
        )
    if flag in _TLS:
        raise InvalidRequest(
            f"{flag} would have the files' probes fail, which speak HTTP.",
            "Leave it out, and end TLS at a proxy or an ingress before the server.",
        )


def _is_planned(given: Given, parsed: ParsedCommand) -> bool:
    """Whether the plan's question holds it; older flags are folded into a field."""
    flag = flag_of(given.argument.dest)
    return flag is not None and flag.name not in parsed.extra
