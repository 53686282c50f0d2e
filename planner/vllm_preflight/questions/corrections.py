"""A launch with a change put in: the user's whole line, the call that asks for it, the proof."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.verdict import Verdict
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.arguments import ParsedCommand, parse_command
from vllm_preflight.launch.flags.bearing import all_flags
from vllm_preflight.launch.render import render_command, render_flags
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_config
from vllm_preflight.recommend.launches import simulate_parsed
from vllm_preflight.reports.verdict import start_verdict

TOOL = "predict_startup"
# Words of this tool for "as the checkpoint says"; vLLM has no such value.
_OF_THE_CHECKPOINT = frozenset({"auto", "none"})
# Arguments that the tool takes by name; others are words of `vllm_args`.
_PUBLISHED = frozenset(
    {
        *("max_model_len", "gpu_memory_utilization", "kv_cache_dtype", "quantization"),
        *("max_num_seqs", "max_num_batched_tokens", "tensor_parallel_size"),
    }
)
_ANY_MODEL = "model"
# What a remedy says behind its flags.
_REMARK = re.compile(r" \([^()]*\)$")


@dataclass(frozen=True)
class Corrections:
    """The launch that was asked for, and how changes are written and tried.

    `asked` is the request as it came, `request` with its command's arguments as fields.
    """

    asked: StartupRequest
    request: StartupRequest
    parsed: ParsedCommand
    model: Model
    hardware: Hardware

    def remedies(self, changes: Sequence[str]) -> list[Remedy]:
        """Each change that surely makes the launch start, as a whole line and as a call."""
        found: list[Remedy] = []
        for change in changes:
            check_stop()
            flags = flags_of(change)
            if flags is None:
                continue
            line = whole_line(self.request, self.parsed, [flags])
            verdict = self._verdict(line)
            if verdict is not None and verdict.good:
                found.append(
                    Remedy(
                        change=change,
                        effect=f"starts, {verdict.start_probability or 0:.0%}",
                        gives_up=self._gives_up(flags),
                        tool=TOOL,
                        set=self._call(line, flags),
                        command=line,
                    )
                )
        return found

    def _gives_up(self, flags: str) -> str | None:
        """What the change takes back of what was said, or costs; None where nothing."""
        if not flags.startswith("--"):
            return None
        fields = self._fields(flags)
        if "max_model_len" in fields and self.request.max_model_len not in (None, "auto"):
            return "the length that was asked for"
        if "tensor_parallel_size" not in fields or self.hardware.gpus is not None:
            return None
        before, stages = self.request.tensor_parallel_size, self.request.pipeline_parallel_size
        groups = (stages or 1) * (self.request.data_parallel_size or 1)
        more = (fields["tensor_parallel_size"] - (before or 1)) * groups
        return f"{more} more GPU{'s' * (more > 1)}"

    def _fields(self, flags: str) -> dict[str, Any]:
        """The flags as arguments by name."""
        named = parse_command(f"vllm serve {_ANY_MODEL} {flags}", self.request.vllm_version).fields
        return {name: value for name, value in named.items() if name != "model"}

    def _verdict(self, line: str) -> Verdict | None:
        """What becomes of a whole line; None where it is no launch."""
        try:
            changed = parse_command(line, self.request.vllm_version)
            request = validate_request(StartupRequest, {**self._beside(), **changed.fields})
            tried = override_config(self.model, changed.config_overrides)
            startup = simulate_parsed(tried, self.hardware, changed, request)
        except PreflightError:
            return None
        wanted = startup.launch.world_size * startup.launch.data_parallel_size
        fits = self.hardware.gpus is None or wanted <= self.hardware.gpus
        return start_verdict(startup) if fits else None

    def _beside(self) -> dict[str, Any]:
        """What the request says that no line of vLLM's does."""
        flags = {flag.name for flag in all_flags()}
        given = given_fields(self.request)
        own = {name: value for name, value in given.items() if name not in flags | {"vllm_args"}}
        if given.get("quantization") in _OF_THE_CHECKPOINT:
            own["quantization"] = given["quantization"]
        return {"model": self.request.model, **own}

    def _call(self, line: str, flags: str) -> dict[str, Any]:
        """The arguments that change in the call: few where they say it, else the whole line."""
        given = given_fields(self.asked).keys()
        if not flags.startswith("--"):
            name = flags.partition("--")[2].replace("-", "_")
            return {name: None} if name in given else {"command": line}
        fields = self._fields(flags)
        alone = self.asked.command is None and self.asked.vllm_args is None
        if fields and (fields.keys() <= given or (alone and fields.keys() <= _PUBLISHED)):
            return fields
        further = self.asked.vllm_args
        return {"vllm_args": flags if further is None else f"{further} {flags}"}


def whole_line(request: StartupRequest, parsed: ParsedCommand, changes: Sequence[str] = ()) -> str:
    """The user's whole line, with the fields given beside it and the changes put in."""
    fields = given_fields(request)
    if request.quantization in _OF_THE_CHECKPOINT:
        fields.pop("quantization", None)
    if request.command is None:
        line = render_command(fields, parsed.extra, parsed.environment).text
        if not changes:
            return line
        return parse_command(line, request.vllm_version).line(list(changes))
    beside = {name: value for name, value in fields.items() if name not in parsed.fields}
    model = beside.pop("model", None)
    return parsed.line([*render_flags(beside), *changes], model=model)


def given_fields(request: StartupRequest) -> dict[str, Any]:
    """What the request says beside the command; a tool's own fields are not vLLM's."""
    names = request.model_fields_set & (StartupRequest.model_fields.keys() - {"command"})
    given = {name: getattr(request, name) for name in sorted(names)}
    # A field that is null is a field that is not given.
    return {name: value for name, value in given.items() if value is not None}


def flags_of(remedy: str) -> str | None:
    """A remedy's flags without the remark behind them; None where it is no flag."""
    flags = _REMARK.sub("", remedy)
    return flags if flags.removeprefix("no ").startswith("--") else None
