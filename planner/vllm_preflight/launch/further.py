"""Further flags that a request gives as text, read by the parser that reads commands."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.inputs import EngineInput
from vllm_preflight.contract.request import RequestT
from vllm_preflight.launch.arguments import ParsedCommand, parse_command

_HINT = "Give it once, as an argument or in vllm_args."


@dataclass(frozen=True)
class Further:
    """What `vllm_args` says, and its words as they were written."""

    parsed: ParsedCommand
    words: tuple[str, ...] = ()


NOTHING_FURTHER = Further(ParsedCommand({}))


def with_further(request: RequestT, model: str) -> tuple[RequestT, Further]:
    """The request with the flags of its `vllm_args` as fields, and all that they say.

    Flags that vLLM's parser would not take are in `parsed.refusal`; the request then stays
    as it was.

    Raises:
        InvalidRequest: a value is given twice, differently, or the text is no flags.
    """
    assert isinstance(request, EngineInput)
    if request.vllm_args is None:
        return request, NOTHING_FURTHER
    line = f"vllm serve {shlex.quote(model)} {request.vllm_args}"
    parsed = parse_command(line, request.vllm_version)
    if parsed.refusal is not None:
        return request, Further(parsed)
    fields = {name: value for name, value in parsed.fields.items() if name != "model"}
    for name, value in fields.items():
        given = getattr(request, name, None)
        if name in request.model_fields_set and given is not None and given != value:
            raise InvalidRequest(
                f"{name} is {given!r} as an argument and {value!r} in vllm_args.", _HINT
            )
    known = {name: value for name, value in fields.items() if name in type(request).model_fields}
    return request.model_copy(update=known), Further(parsed, parsed.words[1:])
