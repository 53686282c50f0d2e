"""From what a log shows of a launch to the request that predicts the same launch."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest, UnknownGpu
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu, gpus_with_nvml_name, load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.defaults import batch_default, default_for
from vllm_preflight.launch.flags.bearing import flag_of
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.render import render_command
from vllm_preflight.launch.versions import NEWEST_KNOWN, format_version, parse_version
from vllm_preflight.logs.scrub import REMOVED
from vllm_preflight.logs.startup_log import StartupLog

# Resolved settings of the engine's configuration line that stand for an argument.
_FROM_CONFIG = (
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "decode_context_parallel_size",
    "dtype",
    "kv_cache_dtype",
    "enforce_eager",
    "enable_prefix_caching",
    "enable_chunked_prefill",
)
_RESOLVED = ("max_model_len", "max_num_batched_tokens", "max_num_seqs")
# A printed total and the catalogue's may differ by driver and by rounding.
_TOTAL_SLACK = 0.008
# A total that was divided out of two rounded figures.
_ADVISED_SLACK = 0.05
_HUB_FOLDER = re.compile(r"models--([^/]{1,96})--([^/]{1,96})(?:/|$)")
_UNNAMED = "unnamed"


@dataclass(frozen=True)
class LogRequest:
    """A launch as its log shows it: vLLM's arguments, the machine, and what is in doubt.

    `fields` and `extra` are vLLM's arguments by name, `machine` the request's other
    fields. `missing` says what keeps a prediction from being made, empty when nothing.
    `given` names the arguments that somebody gave; the others are what vLLM resolved.
    `others` are words of arguments that bear on nothing here, as they would be typed.
    """

    fields: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    machine: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()
    missing: str = ""
    given: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The model, "" when the log names none."""
        return str(self.fields.get("model", ""))

    @property
    def command(self) -> str | None:
        """Every argument that the log shows as a vllm serve line, None without a model."""
        if not self.model:
            return None
        fields = {k: v for k, v in self.fields.items() if k in self.given}
        extra = {k: v for k, v in self.extra.items() if k in self.given}
        line = render_command({**fields, "model": self.model}, extra).text
        return " ".join([line, *(shlex.quote(word) for word in self.others)])

    def request(self, **changes: Any) -> StartupRequest:
        """The launch as a request, with arguments or fields of the machine changed."""
        arguments = {k: v for k, v in changes.items() if flag_of(k)}
        machine = {**self.machine, **{k: v for k, v in changes.items() if k not in arguments}}
        command = render_command({**self.fields, **arguments}, self.extra).text
        return validate_request(StartupRequest, {**machine, "command": command})


def request_from_log(log: StartupLog, overrides: Mapping[str, Any] | None = None) -> LogRequest:
    """The launch a log is of; `overrides` are fields of StartupRequest that win over it.

    Raises:
        InvalidRequest: an override is no field, or has no such value.
    """
    given = dict(overrides or {})
    validate_request(StartupRequest, {"model": _UNNAMED, **given})
    arguments, extra, notes = _arguments(log)
    own = {name: value for name, value in given.items() if flag_of(name)}
    machine = {name: value for name, value in given.items() if name not in own}
    arguments.update(own)
    if "model" not in own and log.model:
        arguments["model"] = hub_id(log.model)
    names = frozenset(log.arguments) | frozenset(own)
    if not log.arguments:
        # The engine's line has them all, whoever set them.
        names |= frozenset(name for name in arguments if not _is_default(name, arguments[name]))
    others = tuple(_other_words(log))
    found = LogRequest(arguments, extra, machine, tuple(notes), given=names, others=others)
    if not found.model:
        return replace(found, missing="The log does not name the model; give model.")
    try:
        version = _version(log, given)
    except InvalidRequest as error:
        return replace(found, missing=str(error))
    if "vllm_version" not in given:
        machine["vllm_version"] = format_version(version)
        if log.version is None:
            notes.append(
                f"The log does not show vLLM's version; {format_version(NEWEST_KNOWN)} is assumed."
            )
    if log.engine == "V0":
        notes.append("The log is of the V0 engine, the prediction of the V1 engine.")
    missing = _add_gpu(log, machine, version, notes, own)
    return replace(found, machine=machine, notes=tuple(notes), missing=missing)


# What the engine's line prints of arguments that nobody gave.
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "tensor_parallel_size": (1,),
    "pipeline_parallel_size": (1,),
    "data_parallel_size": (1,),
    "decode_context_parallel_size": (1,),
    "dtype": ("auto", "bfloat16", "float16"),
    "kv_cache_dtype": ("auto",),
    "enforce_eager": (False,),
    "enable_prefix_caching": (True,),
    "enable_chunked_prefill": (True,),
}


def _is_default(name: str, value: Any) -> bool:
    """Whether an argument that vLLM resolved may as well be its default."""
    return value in _DEFAULTS.get(name, ()) or name in {"max_num_batched_tokens", "max_num_seqs"}


def _other_words(log: StartupLog) -> Iterator[str]:
    """Arguments that were given and bear on nothing here: names, ports, parsers."""
    for name, value in log.arguments.items():
        known = name in {"model", "model_tag", "config"} or flag_of(name) is not None
        if known or value in (None, False, REMOVED) or not name.isidentifier():
            continue
        flag = f"--{name.replace('_', '-')}"
        yield flag
        if isinstance(value, list):
            yield from (str(item) for item in cast(list[object], value))
        elif isinstance(value, dict):
            yield json.dumps(value)
        elif value is not True:
            yield str(value)


def hub_id(model: str) -> str:
    """`organisation/name` where a path into the Hub's cache shows it, else as written."""
    found = _HUB_FOLDER.search(model)
    return f"{found[1]}/{found[2]}" if found else model


def _arguments(log: StartupLog) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in _settings(log):
        flag = flag_of(name)
        if flag is None or value is None or name in fields:
            continue
        if flag.target == "extra":
            if name not in extra and isinstance(value, bool | int | float | str | dict):
                extra[name] = value
            continue
        text = json.dumps(value) if isinstance(value, dict | list) else value
        try:
            validate_request(StartupRequest, {"model": _UNNAMED, name: text})
        except InvalidRequest:
            refused.append(name)
            continue
        fields[name] = text
    unread = sorted(set(refused) - set(fields))
    notes = [f"Not taken over from the log: {', '.join(unread)}."] if unread else []
    return fields, extra, notes


def _settings(log: StartupLog) -> Iterator[tuple[str, Any]]:
    """Arguments as given, then what vLLM resolved for those that were not."""
    yield from log.arguments.items()
    words: dict[str, Any] = {"True": True, "False": False, "None": None}
    for name in _FROM_CONFIG:
        text = log.config.get(name)
        if text is not None:
            yield name, words.get(text, int(text) if text.isdigit() else text)
    for name in _RESOLVED:
        yield name, getattr(log, name)


def _version(log: StartupLog, given: Mapping[str, Any]) -> Version:
    return parse_version(given.get("vllm_version") or log.version)


def _add_gpu(
    log: StartupLog,
    machine: dict[str, Any],
    version: Version,
    notes: list[str],
    own: Mapping[str, Any],
) -> str:
    """Name the GPU and its memory in `machine`; what is missing for that, or ""."""
    total = _total_gib(log, version, own)
    free = log.free_gib_at_start
    if free is None and log.failure:
        free = log.failure.figures.get("free_gib")
        if log.failure.kind != "free_memory_below_request":
            free = None
    if free is not None:
        machine.setdefault("free_vram_gb", free)
    if total is not None:
        machine.setdefault("vram_gb", total)
    if "gpu" in machine:
        return ""
    slack = _TOTAL_SLACK
    if total is None:
        total, slack = log.advised_total_gib, _ADVISED_SLACK
    name, doubt = _find(log, total, version, own, slack)
    if not name:
        return "The log does not show the GPU or its memory; give gpu."
    if doubt:
        notes.append(doubt)
    machine["gpu"] = name
    return ""


def _total_gib(log: StartupLog, version: Version, own: Mapping[str, Any]) -> float | None:
    """GiB that CUDA shows, printed or by division of the requested share."""
    if log.total_gib is not None:
        return log.total_gib
    if log.failure and "total_gib" in log.failure.figures:
        return log.failure.figures["total_gib"]
    requested = next((r.requested_gib for r in log.ranks if r.requested_gib is not None), None)
    if requested is None:
        return None
    share = own.get("gpu_memory_utilization") or log.arguments.get("gpu_memory_utilization")
    share = share or default_for("gpu_memory_utilization", version).value
    return round(requested / float(share), 2)


def _find(
    log: StartupLog,
    total: float | None,
    version: Version,
    own: Mapping[str, Any],
    slack: float,
) -> tuple[str, str]:
    """The card a log was written on, and the sentence that says so when it is a guess."""
    if log.gpu_name:
        named = list(gpus_with_nvml_name(log.gpu_name)) or _by_name(log.gpu_name)
        if named:
            return min(named, key=lambda gpu: _distance(gpu, total)).name, ""
    if total is None:
        return "", ""
    near = [
        gpu
        for gpu in load_catalog()
        if gpu.vendor == "NVIDIA" and _distance(gpu, total) <= slack * total
    ]
    consistent = [gpu for gpu in near if _has_defaults(gpu, log, version, own)] or near
    consistent.sort(key=lambda gpu: (gpu.visible_basis != "measured", _distance(gpu, total)))
    if not consistent and slack > _TOTAL_SLACK:
        return "", ""
    if not consistent:
        return f"unknown, {total:g} GiB", (
            f"The log does not name the GPU, and none of the catalogue shows {total:g} GiB; only "
            "that memory is reckoned with. Give gpu to compare with a card."
        )
    chosen, *others = consistent
    rivals = f" (or {', '.join(gpu.name for gpu in others[:3])})" if others else ""
    return chosen.name, (
        f"The log does not name the GPU; with {total:.4g} GiB it is taken for "
        f"{chosen.name}{rivals}. Give gpu to compare with another."
    )


def _by_name(name: str) -> list[Gpu]:
    try:
        return [find_gpu(name)]
    except UnknownGpu:
        return []


def _distance(gpu: Gpu, total: float | None) -> float:
    return 0.0 if total is None else abs(gpu.visible_bytes / BYTES_TO_GIB - total)


def _has_defaults(gpu: Gpu, log: StartupLog, version: Version, own: Mapping[str, Any]) -> bool:
    """Whether the batch limits that vLLM resolved are its defaults for this card."""
    default = batch_default(version, gpu)
    for name in ("max_num_batched_tokens", "max_num_seqs"):
        printed = getattr(log, name)
        given = log.arguments.get(name) is not None or name in own
        if not given and printed is not None and printed != getattr(default, name):
            return False
    return True
