"""How long one step of a pipeline stage takes, by what it holds.

A step's GPU time is the sum of its kernels' times, each measured on the card or lent by
its nearest relative (`kernels/`), with a factor fitted on serving runs. Small kernels
between them, exchanges between GPUs and the scheduler add to that.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.launch.launch import Launch
from vllm_preflight.performance.coefficients import Coefficients
from vllm_preflight.performance.kernels.facts import Format, Kernel, Operation
from vllm_preflight.performance.kernels.lenders import Borrowed
from vllm_preflight.performance.machine import Machine
from vllm_preflight.performance.step.attention import Attention
from vllm_preflight.performance.step.links import Summing, summing
from vllm_preflight.performance.step.matrices import Experts, Matrices
from vllm_preflight.performance.step.work import Work

_OPERATIONS: dict[str, tuple[Operation, Operation]] = {
    "attention": ("decode", "prefill"),
    "latent": ("mla_decode", "mla_prefill"),
    "state": ("state_decode", "state_prefill"),
}
# What runs an operation that was timed on no card of the lender.
_LIKE: dict[Operation, Operation] = {
    "mla_decode": "decode",
    "mla_prefill": "prefill",
    "state_decode": "decode",
    "state_prefill": "prefill",
}
_RATES: dict[Format, str] = {"fp8": "flops8", "fp8_block": "flops8", "nvfp4": "flops4"}
# Bytes of a norm's sum of squares that the ranks exchange, per token: of queries and keys.
_NORM_BYTES = 8.0


@dataclass(frozen=True, slots=True)
class StepParts:
    """Seconds of one step, by what takes them. `host` is what the GPU does not hide."""

    dense: float
    experts: float
    head: float
    attention: float
    communication: float
    launches: float
    offload: float
    host: float

    @property
    def total(self) -> float:
        """Seconds of the whole step."""
        return (
            self.dense
            + self.experts
            + self.head
            + self.attention
            + self.communication
            + self.launches
            + self.offload
            + self.host
        )


@dataclass(frozen=True, slots=True)
class Roof:
    """Seconds of kernels over something countable: tokens, sequences."""

    floor: float
    read: float
    read_each: float
    done_each: float
    sharpness: float

    def seconds(self, count: float) -> float:
        """Seconds for `count` of them."""
        read, done, p = self.read + self.read_each * count, self.done_each * count, self.sharpness
        if p == 1.0:
            return self.floor + read + done
        return self.floor + float((read**p + done**p) ** (1 / p))


@dataclass(frozen=True, slots=True)
class ExpertRoof:
    """Seconds of routed experts: `read` is the time to read all, of which some are visited."""

    floor: float
    read: float
    read_each: float
    done_each: float
    sharpness: float
    share: float
    alike: float

    def seconds(self, tokens: float) -> float:
        """Seconds for `tokens` tokens, which visit the experts they choose."""
        choices = 1 + max(0.0, tokens - 1) * self.alike
        seen = 1 - (1 - self.share) ** choices
        read, done, p = (
            self.read * seen + self.read_each * tokens,
            self.done_each * tokens,
            self.sharpness,
        )
        if p == 1.0:
            return self.floor + read + done
        return self.floor + float((read**p + done**p) ** (1 / p))


@dataclass(frozen=True)
class _Rates:
    """A launch's kernels with the machine's rates and the fitted factors applied."""

    launch: Launch
    machine: Machine
    borrowed: Borrowed
    coefficients: Coefficients

    def value(self, name: str) -> float:
        return self.coefficients.value(name, self.machine.gpu_class)

    @property
    def floor(self) -> float:
        """Share of a kernel's stand-alone floor that is left inside a CUDA graph."""
        return 1.0 if self.launch.enforce_eager else self.value("floor")

    def kernel(self, operation: Operation, kind: Format) -> Kernel:
        find, version = self.borrowed.kernels.find, self.launch.version
        found = find(operation, kind, version)
        if found is None and kind == "fp8":
            found = find(operation, "16", version)
        if found is None:
            return self.kernel(_LIKE[operation], kind)
        return found

    def per_byte(self, kernel: Kernel, factor: float) -> float:
        return factor / (self.machine.bandwidth * kernel.memory)

    def per_flop(self, kernel: Kernel, factor: float) -> float:
        rate: float = getattr(self.machine, _RATES.get(kernel.format, "flops16"))
        return factor / (rate * kernel.compute)

    def dense(self, item: Matrices) -> Roof:
        kernel = self.kernel("gemm", item.kind)
        factor = self.value("gemm") * (self.value("packed") if item.expanded else 1.0)
        per_byte = self.per_byte(kernel, factor)
        return Roof(
            item.count * kernel.floor * self.floor,
            item.bytes * per_byte,
            item.token_bytes * per_byte,
            2.0 * item.elements * self.per_flop(kernel, factor),
            kernel.sharpness,
        )

    def experts(self, item: Experts) -> ExpertRoof:
        kernel = self.kernel("experts", item.kind)
        unmeasured = item.expanded and kernel.format == "bfloat16"
        factor = self.value("experts") * (self.value("packed") if unmeasured else 1.0)
        per_byte = self.per_byte(kernel, factor)
        return ExpertRoof(
            item.layers * kernel.floor * self.floor,
            item.layers * item.bytes * item.number * per_byte,
            item.layers * item.token_bytes * per_byte,
            item.layers * item.flops * self.per_flop(kernel, factor),
            kernel.sharpness,
            item.share,
            min(1.0, kernel.alike * self.value("alike")),
        )

    def head(self, work: Work) -> Roof:
        kernel = self.kernel("gemm", "bfloat16")
        factor = self.value("gemm")
        return Roof(
            kernel.floor * self.floor,
            work.head_bytes * self.per_byte(kernel, factor),
            0.0,
            work.head_flops * self.per_flop(kernel, factor),
            kernel.sharpness,
        )

    def decode(self, item: Attention, context: float, decoded: float) -> Roof:
        # The cache is read once for all tokens a sequence verifies.
        name, _ = _OPERATIONS[item.kind]
        kernel, factor = self.kernel(name, self._cache_format(item)), self.value("decode")
        floor = item.layers * kernel.floor * self.floor
        if item.kind == "attention":
            floor += item.layers * kernel.per_token * min(context, item.limit)
        return Roof(
            floor,
            0.0,
            item.decode_bytes(context) * self.per_byte(kernel, factor),
            decoded * item.decode_flops * item.keys(context) * self.per_flop(kernel, factor),
            kernel.sharpness,
        )

    def prompt(self, item: Attention, tokens: float, cached: float) -> Roof:
        _, name = _OPERATIONS[item.kind]
        kernel, factor = self.kernel(name, self._cache_format(item)), self.value("prefill")
        return Roof(
            item.layers * kernel.floor * self.floor,
            0.0,
            item.prompt_bytes * self.per_byte(kernel, factor),
            item.prompt_flops(tokens, cached) / tokens * self.per_flop(kernel, factor),
            kernel.sharpness,
        )

    def _cache_format(self, item: Attention) -> Format:
        narrow = item.kind != "state" and self.launch.kv_cache_dtype.startswith(("fp8", "int8"))
        return "fp8" if narrow else "16"

    def summing(self, ranks: int, *, exchange: bool) -> Summing | None:
        link = self.machine.exchange if exchange else self.machine.link
        return summing(
            link,
            ranks,
            self.borrowed,
            factor=self.value("reduce"),
            latency=self.value("reduce_network") * 1e-6,
            share=self.value("link"),
        )


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The step times of one launch, everything applied that does not change by step."""

    work: Work
    decoded: float
    dense: tuple[Roof, ...]
    experts: tuple[ExpertRoof, ...]
    head: Roof
    decode: tuple[Roof, ...]
    prompt: tuple[Roof, ...]
    summing: Summing | None
    exchange: Summing | None
    draft_byte: float
    launch_seconds: float
    offload_seconds: float
    host_seconds: float
    host_per_sequence: float
    hidden_host: bool

    @classmethod
    def of(
        cls,
        work: Work,
        launch: Launch,
        machine: Machine,
        borrowed: Borrowed,
        coefficients: Coefficients,
        *,
        decoded: float,
        context: float,
        prompt: float,
        cached: float,
    ) -> StepTimes:
        """The step times of `launch`, whose stage does `work` on `machine`.

        Requests that decode compute `decoded` tokens a step and hold `context` tokens on
        average; prompts have `prompt` tokens
        to compute behind `cached` ones.
        """
        rates = _Rates(launch, machine, borrowed, coefficients)
        layer = "layer_eager" if launch.enforce_eager else "layer"
        launches = rates.value(layer) * work.matrices.blocks
        launches += rates.value("expert_layer") * work.expert_layers
        ranks = launch.tensor_parallel_size
        return cls(
            work=work,
            decoded=decoded,
            dense=tuple(map(rates.dense, work.matrices.dense)),
            experts=tuple(map(rates.experts, work.matrices.experts)),
            head=rates.head(work),
            decode=tuple(rates.decode(item, context, decoded) for item in work.attention),
            prompt=tuple(rates.prompt(item, prompt, cached) for item in work.attention),
            summing=rates.summing(ranks, exchange=False),
            exchange=rates.summing(ranks * work.replicas, exchange=True),
            draft_byte=rates.per_byte(rates.kernel("gemm", "bfloat16"), rates.value("gemm")),
            launch_seconds=launches * 1e-6 + rates.value("step") * 1e-3,
            offload_seconds=work.offloaded_bytes / machine.pcie,
            host_seconds=rates.value("host_step") * 1e-3,
            host_per_sequence=rates.value("host_sequence") * 1e-6,
            hidden_host=launch.async_scheduling,
        )

    def parts(self, sequences: float, prompt: float = 0.0) -> StepParts:
        """A step of `sequences` requests that decode, and `prompt` tokens of other requests."""
        return StepParts(*self._seconds(sequences, prompt))

    def _seconds(
        self, sequences: float, prompt: float
    ) -> tuple[float, float, float, float, float, float, float, float]:
        """The parts of that step, as StepParts has them."""
        computed = sequences * self.decoded
        tokens = computed + prompt
        dense = experts = attention = 0.0
        for roof in self.dense:
            dense += roof.seconds(tokens)
        for routed in self.experts:
            experts += routed.seconds(tokens * self.work.replicas)
        if sequences:
            for roof in self.decode:
                attention += roof.seconds(sequences)
        if prompt:
            for roof in self.prompt:
                attention += roof.seconds(prompt)
        head = self.head.seconds(max(computed, 1.0))
        communication = self._communication(tokens)
        host = self.host_seconds + sequences * self.host_per_sequence
        if self.hidden_host:
            # The next step is scheduled while this one runs.
            busy = dense + experts + head + attention + communication
            host = max(0.0, host - busy - self.launch_seconds - self.offload_seconds)
        return (
            dense,
            experts,
            head,
            attention,
            communication,
            self.launch_seconds,
            self.offload_seconds,
            host,
        )

    def _communication(self, tokens: float) -> float:
        """Seconds of all exchanges between the GPUs of a step."""
        work, found = self.work, 0.0
        if self.summing is not None:
            found = work.matrices.reduces * self.summing.seconds(tokens * work.reduced_bytes)
            if work.shared_norms:
                found += work.shared_norms * self.summing.seconds(tokens * _NORM_BYTES)
        if self.exchange is not None:
            # All replicas' tokens are gathered before the experts and scattered after
            # them, which together move what one all-reduce does.
            size = tokens * work.replicas * work.reduced_bytes
            found += work.expert_layers * self.exchange.seconds(size)
        return found

    def seconds(self, sequences: float, prompt: float = 0.0) -> float:
        """The length of that step in seconds."""
        dense, experts, head, attention, links, launches, offload, host = self._seconds(
            sequences, prompt
        )
        return dense + experts + head + attention + links + launches + offload + host
