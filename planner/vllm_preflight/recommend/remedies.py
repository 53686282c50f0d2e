"""What would carry the workload: changes that were planned again, in the order of their cost.

Free settings come first, then another checkpoint that exists, more GPUs, other GPUs. A
remedy keeps the question: never a length below the workload, never fewer users.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.market import offered_gpus
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.launch.further import with_further
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_config
from vllm_preflight.recommend.checkpoints import Checkpoint, coarser_checkpoints
from vllm_preflight.recommend.choose import (
    PRACTICAL_COUNTS,
    Choice,
    choose,
    choose_on,
    with_gpus,
)
from vllm_preflight.recommend.demand import Demand, demand_of, fit_workload
from vllm_preflight.recommend.lines import serve_lines

TOOL = "plan_deployment"
# KV caches in FP8 are kept on every GPU; the kernels that read them need this much.
_FP8_CAPABILITY = (8, 9)
_MOST_REMEDIES = 4
_MOST_OF_ONE_KIND = 3
_MOST_SHARE = 0.95
_ACCURACY = "some accuracy, which the checkpoint's own card or an evaluation must show"


@dataclass(frozen=True)
class Change:
    """Fields to set in the request, in words, and what that gives up."""

    text: str
    fields: Mapping[str, Any]
    gives_up: str | None = None
    model: Model | None = None


@dataclass
class Search:
    """The question whose remedies are sought, and what it came to without any.

    `asked` are the GPUs as they were asked for, their number open or not.
    """

    model: Model
    request: PlanRequest
    choice: Choice
    asked: Hardware
    found: list[Remedy] = field(default_factory=list[Remedy])

    @property
    def demand(self) -> Demand:
        """What has to be carried."""
        return self.choice.demand


def find_remedies(
    model: Model, request: PlanRequest, choice: Choice, asked: Hardware
) -> list[Remedy]:
    """Changes after which the workload is carried, then at most one that only helps.

    `asked` are the GPUs as they were asked for, their number open or not.
    """
    search = Search(model, request, choice, asked)
    if choice.outcome in ("refused", "not_modelled"):
        tried = (_try(search, change) for change in _of_refusal(search))
        found = [remedy for remedy, _ in tried if remedy is not None]
        return found or _beside_refusal(search)
    partly: list[Remedy] = []
    settings = list(_settings(search))
    stored = list(_checkpoints(search))
    both = [_joined(one, other) for one in stored[:2] for other in settings]
    for changes in (settings, stored, both):
        # Of two-setting changes the first that does is enough, and only where no single one does.
        if changes is both and search.found:
            continue
        for change in changes:
            remedy, carries = _try(search, change)
            if remedy is not None:
                (search.found if carries else partly).append(remedy)
                if carries and changes is both:
                    break
    share = _first(search, _larger_shares(search))
    search.found = [*share, *search.found[:_MOST_OF_ONE_KIND]]
    for changes in (_more_gpus(search), _other_gpus(search)):
        search.found += _first(search, changes)
    return [*search.found[:_MOST_REMEDIES], *(partly[:1] if not search.found else [])]


def _first(search: Search, changes: Iterable[Change]) -> list[Remedy]:
    """The first of the changes that carries the workload."""
    for change in changes:
        remedy, carries = _try(search, change)
        if remedy is not None and carries:
            return [remedy]
    return []


def find_alternatives(
    model: Model, request: PlanRequest, choice: Choice, asked: Hardware
) -> list[Remedy]:
    """Checkpoints that carry it with fewer GPUs, where the number was left open.

    `asked` are the GPUs as they were asked for, in as many machines as were said.
    """
    if request.gpus is not None or choice.gpus == 1 or not choice.carries:
        return []
    fewer = [count for count in PRACTICAL_COUNTS if count < choice.gpus]
    search = Search(model, request, choice, asked)
    changes = list(_checkpoints(search))
    for count in fewer:
        for change in changes:
            fields = {**change.fields, "gpus": count}
            text = f"{change.text} on {count} × {choice.hardware.gpu.name}"
            smaller = Change(text, fields, change.gives_up, change.model)
            remedy, carries = _try(search, smaller)
            if remedy is not None and carries:
                return [remedy]
    return []


def _beside_refusal(search: Search) -> list[Remedy]:
    """Where these GPUs are refused: a checkpoint that they run, then GPUs that run this one."""
    failure = search.choice.startup.failure
    if search.choice.outcome != "refused" or failure is None or failure.kind != "unsupported":
        return []
    ways = (_checkpoints(search), _other_gpus(search))
    return [remedy for changes in ways for remedy in _first(search, changes)]


def _of_refusal(search: Search) -> Iterator[Change]:
    """What vLLM's own refusal proposes, which has to be planned before it is said to help."""
    failure = search.choice.startup.failure
    for proposed in failure.remedies if failure is not None else ():
        flags, _, remark = proposed.partition(" (")
        words = flags.split(" ", 1)
        if words[0] == "vLLM" and len(words) == 2:
            release = words[1].removesuffix(" or later")
            fields = {"vllm_version": release}
            yield Change(f"vLLM {release}", fields, "the release that was planned for")
            continue
        if len(words) != 2 or not words[0].startswith("--"):
            continue
        if words[0] == "--max-model-len" and words[1].isdigit():
            gives_up = "the length that was asked for"
            yield Change(flags, {"max_model_len": int(words[1])}, gives_up)
            continue
        given = search.request.vllm_args
        fields = {"vllm_args": f"{given} {flags}" if given else flags}
        yield Change(flags, fields, remark.rstrip(")") or None)


def _settings(search: Search) -> Iterator[Change]:
    request, hardware = search.request, search.choice.hardware
    if request.kv_cache_dtype == "auto" and hardware.capability >= _FP8_CAPABILITY:
        fields = {"kv_cache_dtype": "fp8"}
        yield Change("an FP8 KV cache", fields, "a little accuracy in long contexts")


def _larger_shares(search: Search) -> Iterator[Change]:
    """More of each GPU's memory than was asked for, where others do not hold it."""
    share, hardware = search.request.gpu_memory_utilization, search.choice.hardware
    if share is None or search.request.free_vram_gb is not None or hardware.free_bytes is not None:
        return
    for step in range(math.floor(share * 20) + 1, round(_MOST_SHARE * 20) + 1):
        fields = {"gpu_memory_utilization": step / 20}
        yield Change(f"{step / 20:g} of each GPU's memory", fields, "memory of others")


def _checkpoints(search: Search) -> Iterator[Change]:
    """Coarser checkpoints of the model that exist, then FP8 made of this one while loading."""
    if search.request.quantization not in ("auto", "none"):
        return
    for stored in coarser_checkpoints(search.model):
        yield _change_to(stored)


def _change_to(stored: Checkpoint) -> Change:
    if stored.quantization != "auto":
        return Change(
            "FP8 weights made while loading", {"quantization": stored.quantization}, _ACCURACY
        )
    fields = {"model": stored.model.id, "revision": None}
    return Change(f"the checkpoint {stored.model.id}", fields, _ACCURACY, stored.model)


def _joined(one: Change, other: Change) -> Change:
    gives_up = "; ".join(filter(None, (one.gives_up, other.gives_up))) or None
    return Change(
        f"{one.text} with {other.text}", {**one.fields, **other.fields}, gives_up, one.model
    )


def _more_gpus(search: Search) -> Iterator[Change]:
    gpu = search.choice.hardware.gpu.name
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    open_sizes = {name: None for name in sizes if getattr(search.request, name) is not None}
    there = search.choice.hardware.gpus or search.choice.gpus
    for count in PRACTICAL_COUNTS:
        if count > there:
            nodes = with_gpus(search.choice.hardware, count).nodes
            fields: dict[str, Any] = {"gpus": count, **open_sizes}
            if nodes > 1:
                fields["nodes"] = nodes
            more = count - there
            yield Change(f"{count} × {gpu}", fields, f"{more} more GPU{'s' * (more > 1)}")


def _other_gpus(search: Search) -> Iterator[Change]:
    """As many cards that one can get and that have more memory, the smallest first."""
    gpu = search.choice.hardware.gpu
    larger = [
        other
        for other in map(find_gpu, offered_gpus())
        if other.vendor == gpu.vendor and other.visible_bytes > gpu.visible_bytes * 1.05
    ]
    count = search.choice.hardware.gpus or search.choice.gpus
    for other in sorted(larger, key=lambda other: (other.visible_bytes, other.name)):
        fields: dict[str, Any] = {"gpu": other.name, "gpus": count}
        # What was said of the first card's memory is not true of another.
        for name in ("vram_gb", "free_vram_gb"):
            if getattr(search.request, name) is not None:
                fields[name] = None
        yield Change(f"{count} × {other.name}", fields, "other hardware")


def _try(search: Search, change: Change) -> tuple[Remedy | None, bool]:
    """The change planned again: the remedy where it starts and helps, and whether it carries."""
    check_stop()
    request = search.request.model_copy(update=dict(change.fields))
    model = change.model or search.model
    try:
        choice = _planned(search, model, request, change)
    except PreflightError:
        return None, False
    before = search.choice
    if not choice.serves:
        return None, False
    if not choice.carries and choice.held <= before.held:
        return None, False
    lines = serve_lines(request, model, choice)
    return (
        Remedy(
            change=change.text,
            effect=_effect(choice),
            gives_up=change.gives_up,
            tool=TOOL,
            set=dict(change.fields),
            command=lines[0],
            node_commands=list(lines) if len(lines) > 1 else None,
        ),
        choice.carries,
    )


def _planned(search: Search, model: Model, request: PlanRequest, change: Change) -> Choice:
    # What is refused was tried with one number of GPUs only.
    refused = search.choice.outcome == "refused"
    hardware = search.asked if refused else search.choice.hardware
    if "gpu" in change.fields:
        hardware = select_hardware(request)
    elif request.gpus is not None:
        hardware = with_gpus(search.asked, request.gpus)
    demand = search.demand
    if refused:
        # Another length is another question: it says what it gives up.
        request, further = with_further(request, model.id)
        model = override_config(model, further.parsed.config_overrides)
        request = fit_workload(model, request)
        demand = demand_of(model, request)
    if hardware.gpus is None:
        return choose(model, hardware, request, demand)
    return choose_on(model, hardware, request, demand)


def _effect(choice: Choice) -> str:
    wanted = choice.demand.concurrency
    where = f"on {choice.gpus} × {choice.hardware.gpu.name}"
    if choice.carries:
        such = "such request" + "s" * (choice.held != 1)
        return f"carries the workload {where}, with room for {choice.held:,} {such}"
    return f"helps, not enough: {choice.held:,} of {wanted:,} run at once {where}"
