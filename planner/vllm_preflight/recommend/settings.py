"""The arguments an expert would write for a layout, each with its reason.

A flag is written only where it differs from vLLM's default of that release and GPU and has
a reason: asked for, needed to start or to carry, or worth more than a twentieth of the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_preflight.base.units import ceil_div
from vllm_preflight.contract.verdict import SURE
from vllm_preflight.memory.kv.capacity import requests_at_once
from vllm_preflight.memory.startup import Startup
from vllm_preflight.recommend.demand import Demand
from vllm_preflight.recommend.launches import Bench
from vllm_preflight.recommend.layouts import Layout

# Recommended lengths are multiples of this.
LENGTH_STEP = 1024
# Shares of the first guess by which a length is then shortened.
SHORTENED = (0.0, 0.03, 0.08, 0.2, 0.4)
# A limit is worth writing when it frees more than this share of the cache's tokens.
_WORTH = 0.05
# Where only shorter requests than these start, longer ones are worth a limit on their number,
# when they are longer by this share.
_SHORT_LENGTH = 8192
_MUCH_LONGER = 0.25
# Sequences that serve a burst of chats; vLLM's own default on smaller cards.
_USUAL_SEQUENCES = 256
_FEW_SEQUENCES = (128, 64, 32, 16, 8)
# A step of a few thousand tokens keeps the time between two tokens short, and frees activations.
_SMALL_STEP_TOKENS = 2048
# No limit of batch or length frees weights, or changes what vLLM refuses.
_BEYOND_SETTINGS = frozenset(
    {
        "invalid_arguments",
        "unsupported",
        "not_modelled",
        "weights_do_not_fit",
        "free_memory_below_request",
    }
)
# Memory that others use is left to them, and this much more.
_SHARED_MARGIN = 0.01


@dataclass(frozen=True)
class Settings:
    """What is written beside the request's own arguments, and why each value is what it is."""

    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    reasons: dict[str, str] = field(default_factory=dict[str, str])

    def with_field(self, name: str, value: Any, reason: str) -> Settings:
        """The same with one more argument."""
        return Settings({**self.fields, name: value}, {**self.reasons, name: reason})


@dataclass(frozen=True)
class Settled:
    """A layout with its settings, simulated; `held` requests of the demand run at once.

    `held` is of all replicas, at the low end of the cache's interval.
    """

    layout: Layout
    settings: Settings
    startup: Startup
    held: int

    @property
    def is_sure(self) -> bool:
        """Whether it starts with the probability that a recommendation needs."""
        return self.startup.starts and self.startup.start_probability >= SURE


def settle(bench: Bench, layout: Layout, demand: Demand) -> Settled:
    """Settings with which `layout` starts for sure and carries most, the mildest that do."""
    found = _Trial(bench, layout, demand)
    return found.run()


class _Trial:
    """One layout while its settings are chosen."""

    def __init__(self, bench: Bench, layout: Layout, demand: Demand) -> None:
        self.bench, self.layout, self.demand = bench, layout, demand
        self.request = bench.request
        self.each = ceil_div(demand.concurrency, layout.replicas)

    def run(self) -> Settled:
        """From vLLM's defaults on, one deviation at a time."""
        best = self.settled(self.known_length(self.shared_memory()))
        failure = best.startup.failure
        if failure is not None and failure.kind in _BEYOND_SETTINGS:
            return best
        best = self.batch_limits(best)
        if best.is_sure:
            return best
        best = self.shorter(best)
        if best.is_sure:
            return self.longer(best)
        for settings in self.tighter(best.settings):
            tried = self.shorter(self.settled(settings))
            if tried.is_sure:
                return tried
            if tried.startup.start_probability > best.startup.start_probability:
                best = tried
        return best

    def settled(self, settings: Settings) -> Settled:
        """`settings` simulated."""
        startup = self.bench.simulate(self.layout, settings.fields)
        return Settled(self.layout, settings, startup, self.held(startup))

    def held(self, startup: Startup) -> int:
        """Requests of the demand's length that run at once in a bad case."""
        if not startup.starts or self.demand.context > startup.launch.max_model_len:
            return 0
        architecture = self.bench.model.architecture
        each = requests_at_once(architecture, startup.launch, startup.kv_low, self.demand.context)
        return each * self.layout.replicas

    def shared_memory(self) -> Settings:
        """Less than vLLM's own share where others hold a part of the memory."""
        settings = Settings()
        if self.request.gpu_memory_utilization is not None:
            return settings
        gpu, free = self.bench.hardware.gpu, self.bench.hardware.usable_bytes
        if self.request.free_vram_gb is not None:
            free = int(self.request.free_vram_gb * 2**30)
        if free is None:
            return settings
        default = self.bench.simulate(self.layout, {}).launch.gpu_memory_utilization
        share = int((free / gpu.visible_bytes - _SHARED_MARGIN) * 100) / 100
        if not 0 < share < default:
            return settings
        return settings.with_field(
            "gpu_memory_utilization", share, f"{free / 2**30:.1f} GiB of the memory are free"
        )

    def known_length(self, settings: Settings) -> Settings:
        """A length that is written where the model's own is not known."""
        architecture = self.bench.model.architecture
        if architecture.max_position_known or self.request.max_model_len is not None:
            return settings
        length = architecture.unasked_length or architecture.max_position
        return settings.with_field(
            "max_model_len", length, "what the model's own length is, is not known here"
        )

    def batch_limits(self, base: Settled) -> Settled:
        """Limits for latency, for the concurrency, or where they free a part of the cache."""
        if self.request.batching_mode == "latency":
            settings = self.for_latency(base.settings, base.startup)
            return base if settings is base.settings else self.settled(settings)
        if self.request.max_num_seqs is None and self.each > base.startup.launch.max_num_seqs:
            base = self.more_sequences(base)
        return self.usual_sequences(base)

    def more_sequences(self, base: Settled) -> Settled:
        """As many sequences as requests that the cache holds, where that carries more."""
        startup = base.startup
        unbounded = replace(startup.launch, max_num_seqs=self.each)
        room = requests_at_once(
            self.bench.model.architecture, unbounded, startup.kv_low, self.demand.context
        )
        if room <= startup.launch.max_num_seqs:
            return base
        reason = "vLLM's default would let requests wait that the cache has room for"
        more = self.settled(base.settings.with_field("max_num_seqs", room, reason))
        return more if more.is_sure and more.held > base.held else base

    def for_latency(self, settings: Settings, startup: Startup) -> Settings:
        """Few sequences and small steps: further requests wait instead of slowing others."""
        launch = startup.launch
        if self.request.max_num_seqs is None and self.each < launch.max_num_seqs:
            settings = settings.with_field(
                "max_num_seqs", self.each, "further requests wait instead of slowing the others"
            )
        step = max(_SMALL_STEP_TOKENS, self.each)
        chunked = launch.enable_chunked_prefill
        if (
            self.request.max_num_batched_tokens is None
            and chunked
            and (launch.max_num_batched_tokens > step)
        ):
            settings = settings.with_field(
                "max_num_batched_tokens", step, "a long prompt delays running answers less"
            )
        return settings

    def usual_sequences(self, base: Settled) -> Settled:
        """Fewer sequences than vLLM's default where that frees a part of the cache."""
        launch = base.startup.launch
        # More than the cache holds would wait for room anyway.
        running = min(self.each, base.held // self.layout.replicas)
        wanted = max(_USUAL_SEQUENCES, running)
        if self.request.max_num_seqs is not None or wanted >= launch.max_num_seqs:
            return base
        fewer = self.settled(
            base.settings.with_field("max_num_seqs", wanted, "frees memory of the sampler")
        )
        before, after = base.startup.available_bytes, fewer.startup.available_bytes
        gain = (after - before) / max(before, 1) if before > 0 else 1.0
        if gain <= _WORTH and (base.is_sure or not fewer.is_sure):
            return base
        gib = (after - before) / 2**30
        if gib <= 0:
            return base
        fields, reasons = fewer.settings.fields, dict(fewer.settings.reasons)
        reasons["max_num_seqs"] = f"frees {gib:.2f} GiB of each GPU for the KV cache"
        return Settled(self.layout, Settings(fields, reasons), fewer.startup, fewer.held)

    def shorter(self, base: Settled) -> Settled:
        """The longest length that surely starts, never below the demand's; else `base`."""
        launch, failure = base.startup.launch, base.startup.failure
        if self.request.max_model_len is not None or base.is_sure:
            return base
        if failure is not None and failure.kind != "kv_cache_too_small":
            return base
        first = self.surely_admitted(base.startup)
        reason = f"the longest that surely starts; the model takes {launch.max_model_len:,}"
        # A shorter launch may take a little more beside the cache than was guessed.
        for share in SHORTENED:
            length = self.rounded(int(first * (1 - share)))
            if length < self.demand.context:
                break
            tried = self.settled(base.settings.with_field("max_model_len", length, reason))
            if tried.is_sure:
                return tried
        return base

    def longer(self, base: Settled) -> Settled:
        """A shortened `base` with fewer sequences, where that lets longer requests in.

        Never fewer than the cache holds requests of the demand: more would wait anyway.
        """
        length = base.startup.launch.max_model_len
        if self.request.max_num_seqs is not None or length >= _SHORT_LENGTH:
            return base
        fields = {**base.settings.fields}
        fields.pop("max_model_len", None)
        for sequences in _FEW_SEQUENCES:
            if sequences < self.each or sequences >= base.startup.launch.max_num_seqs:
                continue
            settings = Settings(fields, base.settings.reasons).with_field(
                "max_num_seqs",
                sequences,
                f"the cache holds no more requests of {self.demand.context:,} tokens, and longer "
                "ones fit",
            )
            tried = self.shorter(self.settled(settings))
            held = tried.held // self.layout.replicas
            gain = tried.startup.launch.max_model_len / base.startup.launch.max_model_len
            if not tried.is_sure or held > sequences or gain <= 1 + _MUCH_LONGER:
                break
            base = tried
        return base

    def surely_admitted(self, startup: Startup) -> int:
        """A first guess at the longest length: what the low end of the interval admits."""
        return min(self.rounded(startup.kv_low.estimated_max_model_len), startup.longest)

    def rounded(self, length: int) -> int:
        """`length` in whole steps, but not below the demand where that is admitted."""
        whole = length - length % LENGTH_STEP
        return whole if whole >= self.demand.context else min(length, self.demand.context)

    def tighter(self, settings: Settings) -> Iterator[Settings]:
        """Smaller limits that free memory, the mildest first."""
        reason = "needed to start"
        if self.request.max_num_batched_tokens is None and (
            self.request.batching_mode != "latency"
        ):
            settings = settings.with_field("max_num_batched_tokens", _SMALL_STEP_TOKENS, reason)
            if self.each <= _SMALL_STEP_TOKENS:
                yield settings
        if self.request.max_num_seqs is not None:
            return
        for sequences in _FEW_SEQUENCES:
            if sequences >= self.each:
                yield settings.with_field("max_num_seqs", sequences, reason)
