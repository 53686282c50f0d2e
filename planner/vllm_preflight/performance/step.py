"""How long one step of a pipeline stage takes, by what it holds.

A step's GPU time is the sum of its kernels' times; a kernel takes as long as the slower
of what it reads and what it computes, a little more where the two are close. Launching
the layers' kernels, exchanging activations between GPUs and the scheduler add to that.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.launch.launch import Launch
from vllm_preflight.performance.coefficients import Coefficients
from vllm_preflight.performance.machine import Machine, kernel_rate
from vllm_preflight.performance.work import Work

# How sharply a kernel turns from memory- to compute-bound: the p of a p-norm.
_RIDGE = 3.0
# All-reduces of a layer: after attention and after the feed-forward block.
_REDUCES = 2
# Gathering tokens over replicas that share experts, and scattering the results.
_EXCHANGES = 2
_PACKED_BITS = 4


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


def _slower(memory: float, compute: float) -> float:
    return float((memory**_RIDGE + compute**_RIDGE) ** (1 / _RIDGE))


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The step times of one launch: seconds per byte and FLOP, everything else applied."""

    work: Work
    per_byte: float
    per_dense_flop: float
    per_expert_byte: float
    per_expert_flop: float
    per_head_flop: float
    per_sequence: float
    per_score: float
    per_attention_flop: float
    reduce_seconds: float
    reduce_per_token: float
    launch_seconds: float
    offload_seconds: float
    host_seconds: float
    host_per_sequence: float
    hidden_host: bool
    independence: float

    @classmethod
    def of(
        cls,
        work: Work,
        launch: Launch,
        machine: Machine,
        context: float,
        coefficients: Coefficients,
    ) -> StepTimes:
        """The step times of `launch`, whose stage does `work` on `machine`.

        Requests that decode hold `context` tokens on average.
        """

        def value(name: str) -> float:
            return coefficients.value(name, machine.gpu_class)

        def rate(flops_and_family: tuple[float, str]) -> float:
            flops, family = flops_and_family
            factor = value(f"compute_{family}") if family else 1.0
            return flops * value("compute") * factor

        ranks, link = launch.tensor_parallel_size, machine.link
        bandwidth = machine.bandwidth * value("bandwidth")
        dense = rate(kernel_rate(machine, work.dense_scheme))
        expert = rate(kernel_rate(machine, work.expert_scheme)) * value("compute_experts")
        per_attention_flop = 1 / (machine.flops16 * value("compute_attention"))
        # Experts of 4 bits are unpacked on the way.
        packed = work.expert_scheme is not None and work.expert_scheme.bits <= _PACKED_BITS
        expert_bandwidth = bandwidth * value("bandwidth_experts")
        if packed:
            expert_bandwidth *= value("bandwidth_packed")
        reduces = work.layers * _REDUCES
        latency = per_byte = 0.0
        if link.kind != "none":
            # A ring of r ranks passes each byte 2 (r − 1) / r times.
            latency = value(f"reduce_{link.kind}") * 1e-6 * reduces
            passes = 2 * (ranks - 1) / ranks
            per_byte = reduces * passes / (link.gb_s * 1e9 * value("link"))
        if machine.exchange.kind != "none":
            # Every replica's tokens go to all ranks before the experts, and back.
            exchanges = work.expert_layers * _EXCHANGES
            latency += value(f"reduce_{machine.exchange.kind}") * 1e-6 * exchanges
            rate_between = machine.exchange.gb_s * 1e9 * value("link")
            per_byte += exchanges * (work.replicas - 1) / rate_between
        layer = value("layer_eager" if launch.enforce_eager else "layer") * 1e-6
        states = value("state_layer") * 1e-6 * work.state_layers
        routing = value("expert_layer") * 1e-6 * work.expert_layers
        return cls(
            work=work,
            per_byte=1 / bandwidth,
            per_dense_flop=1 / dense,
            per_expert_byte=1 / expert_bandwidth,
            per_expert_flop=1 / expert,
            per_head_flop=1 / (machine.flops16 * value("compute")),
            per_sequence=work.cache_bytes(context) / (bandwidth * value("bandwidth_cache")),
            per_score=work.decode_flops(context) * per_attention_flop,
            per_attention_flop=per_attention_flop,
            reduce_seconds=latency,
            reduce_per_token=per_byte * work.reduced_bytes,
            launch_seconds=layer * work.layers + states + routing,
            offload_seconds=work.offloaded_bytes / machine.pcie,
            host_seconds=value("host_step") * 1e-3,
            host_per_sequence=value("host_sequence") * 1e-6,
            hidden_host=launch.async_scheduling,
            independence=min(1.0, value("expert_independence")),
        )

    def parts(
        self, sequences: float, decoded: float, prompt: float = 0.0, prompt_flops: float = 0.0
    ) -> StepParts:
        """A step of `sequences` requests that decode `decoded` tokens each.

        `prompt` tokens of other requests are computed beside them, with `prompt_flops` of
        attention.
        """
        work = self.work
        computed = sequences * decoded
        tokens = computed + prompt
        experts = 0.0
        if work.expert_bytes:
            # The expected share of experts that at least one token of the batch visits,
            # of tokens that choose alike in part.
            choices = 1 + max(0.0, tokens * work.replicas - 1) * self.independence
            seen = 1 - (1 - work.expert_share) ** choices
            experts = _slower(
                work.expert_bytes * seen * self.per_expert_byte,
                tokens * work.expert_flops * self.per_expert_flop,
            )
        sampled = max(computed, 1.0)
        dense = _slower(
            work.dense_bytes * self.per_byte, tokens * work.dense_flops * self.per_dense_flop
        )
        head = _slower(
            work.head_bytes * self.per_byte, sampled * work.head_flops * self.per_head_flop
        )
        attention = _slower(sequences * self.per_sequence, computed * self.per_score)
        attention += prompt_flops * self.per_attention_flop
        communication = self.reduce_seconds + tokens * self.reduce_per_token
        host = self.host_seconds + sequences * self.host_per_sequence
        if self.hidden_host:
            # The next step is scheduled while this one runs.
            busy = dense + experts + head + attention + communication
            host = max(0.0, host - busy - self.launch_seconds - self.offload_seconds)
        return StepParts(
            dense,
            experts,
            head,
            attention,
            communication,
            self.launch_seconds,
            self.offload_seconds,
            host,
        )

    def seconds(
        self, sequences: float, decoded: float, prompt: float = 0.0, prompt_flops: float = 0.0
    ) -> float:
        """The length of that step in seconds."""
        return self.parts(sequences, decoded, prompt, prompt_flops).total
