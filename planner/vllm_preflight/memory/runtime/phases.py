"""What is allocated in each phase of vLLM's profile pass, tensor by tensor.

The activation peak is the largest of the phases, not their sum: the encoder's pass, one
forward pass of max_num_batched_tokens, the up-projection of a latent prefill context,
sampling over min(max_num_seqs, max_num_batched_tokens) rows of the whole vocabulary, and on
a first start the compiler's first launch. What a phase leaves allocated (kernels'
workspaces, cuBLAS) counts in every later one. How a release counts it is in `releases`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from vllm_preflight.base.units import BYTES_TO_GIB, BYTES_TO_MIB
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.buffers import (
    cublas_workspace,
    runner_buffers,
    top_k_buffer,
)
from vllm_preflight.memory.runtime.chips import chip_of
from vllm_preflight.memory.runtime.coefficients import (
    Coefficients,
    Traits,
    launch_traits,
)
from vllm_preflight.memory.runtime.contributions import Contribution, Phase, tensor
from vllm_preflight.memory.runtime.encoders import EncoderPass, encoder_pass
from vllm_preflight.memory.runtime.exchange import exchange_buffers
from vllm_preflight.memory.runtime.forward import Moment, quantised_inputs, widest_moment
from vllm_preflight.memory.runtime.graphs import graph_captures
from vllm_preflight.memory.runtime.releases import Sampler, profile_rules, sampler_in_doubt
from vllm_preflight.memory.runtime.sampler import DTYPE_BYTES, sampling
from vllm_preflight.memory.runtime.shapes import latent_context, padded_vocabulary
from vllm_preflight.memory.runtime.workspaces import (
    experts_in_kernel,
    latent_decode_buffer,
    shared_workspace,
)
from vllm_preflight.models.model import Model

# The phases whose kernels the compiler wrote, and the first launch on a cold cache.
FIRST_START = "first_start"
_TABLE_COPIED = (0, 19, 0)
_ADAPTERS_APART = (0, 18, 0)


@dataclass(frozen=True)
class RuntimeParts:
    """Everything the runtime model adds up, before it is added up.

    `last` and `inner` are the phases of the last pipeline stage, which samples, and of
    any other; only the first runs the encoder. `first_start` are those of the first stage
    that an empty compile cache makes larger, where the launch does not say which it finds.
    `leaner` are those of the last stage with FlashInfer's sampler, where nothing says whether
    it is installed.
    `outside` is memory the release charges to nothing: it is taken from the share of the GPU
    that was not asked for. `graphs` are alternatives, of which the largest counts.
    """

    last: Mapping[str, Phase]
    inner: Mapping[str, Phase]
    first_start: Mapping[str, Phase]
    leaner: Mapping[str, Phase]
    non_torch: Phase
    graphs: Mapping[str, Phase]
    outside: Phase
    traits: Traits


class ProfilePhases:
    """Collects contributions for one model, launch and GPU."""

    def __init__(self, model: Model, launch: Launch, gpu: Gpu, coefficients: Coefficients) -> None:
        self.model = model
        self.launch = launch
        self.gpu = gpu
        self.coefficients = coefficients
        self.architecture = model.architecture
        self.size = DTYPE_BYTES[launch.dtype]
        self.tokens = launch.max_num_batched_tokens
        self.rules = profile_rules(launch.version, launch.model_runner)
        self.traits = launch_traits(launch, gpu, self.architecture)
        self.pooling = launch.pooling
        self.encoder = encoder_pass(model, launch) if self.rules.encoder else None
        self.workspace = shared_workspace(model, launch, gpu, self.rules)
        self.in_kernel = experts_in_kernel(model, launch, gpu, self.rules)
        self.cublas = cublas_workspace(gpu) if self.rules.cublas else ()
        self.forward_cublas = () if quantised_inputs(model, launch) else self.cublas
        # What was seen beside them once cuBLAS's workspace was taken before the pass.
        small = tensor("small_buffers", 1, (BYTES_TO_MIB, "bytes"))
        self.small: Phase = () if self.rules.cublas else (small,)
        self.top_k = () if self.pooling else top_k_buffer(model, launch, gpu, self.rules)

    def scaled(self, name: str, coefficient: str, quantity: float, what: str) -> Contribution:
        """A contribution of a fitted coefficient times `quantity` bytes."""
        found = self.coefficients.find(coefficient, self.launch.version, self.traits)
        return Contribution(name, quantity, f"{found.value:g} × {what}", found)

    def batch(self, name: str, width: float, what: str) -> Contribution:
        """A tensor of `width` elements for each token of the batch."""
        return tensor(name, self.size, (self.tokens, "tokens"), (width, what))

    def encoder_outputs(self, work: EncoderPass) -> Phase:
        """What the encoder hands over."""
        width = work.handed_over * self.architecture.hidden_size
        tokens = (work.tokens, f"tokens of {work.items} items")
        return (tensor("encoder_outputs", self.size, tokens, (width, "elements")),)

    def pixel_values(self, work: EncoderPass) -> Phase:
        """The numbers that describe the dummy items; none for sound."""
        if not work.pixels:
            return ()
        return (tensor("pixel_values", self.size, (work.pixels, "elements")),)

    def encoder_kept(self) -> Phase:
        """What the encoder leaves for the whole pass; the first runner keeps the pixels too.

        Some releases kept every output once more, padded to the whole budget.
        """
        work = self.encoder
        if work is None:
            return ()
        kept = self.encoder_outputs(work)
        if work.padded:
            width = work.handed_over * self.architecture.hidden_size
            positions = (work.padded, f"positions of {work.items} outputs as long as the budget")
            kept += (tensor("encoder_copies", self.size, positions, (width, "elements")),)
        return kept if self.launch.model_runner == "v2" else kept + self.pixel_values(work)

    def stage_buffers(self, *, first: bool) -> Phase:
        """Hidden states and residual that a later pipeline stage receives."""
        if first or self.launch.pipeline_parallel_size == 1:
            return ()
        hidden = self.architecture.hidden_size
        return (self.batch("pipeline_buffers", 2 * hidden, "elements of two hidden states"),)

    @cached_property
    def forward(self) -> Phase:
        """One forward pass at its widest moment."""
        moment, adapters = self.moment, self.adapters()
        in_kernel = self.in_kernel
        if in_kernel is not None:
            hidden = 4 * self.architecture.hidden_size
            if in_kernel.bytes + self.tokens * hidden * self.size > (
                self.tokens * moment.width * self.size
            ):
                states = self.batch("hidden_states", hidden, "elements of hidden states")
                return (in_kernel, states, *adapters)
        tensors = tuple(
            self.batch("forward_" + name.replace(" ", "_").replace(",", ""), width, name)
            for name, width in moment.tensors
            if width
        )
        return (*tensors, *adapters)

    def adapters(self) -> Phase:
        """What LoRA adds while experts run: the inputs at the adapters' rank, for two matrices.

        From Hopper on a kernel keeps them apart for every adapter. Beside other matrices that
        product is gone before the widest moment, which holds the wider activated product.
        """
        lora, moe = self.launch.lora, self.architecture.moe
        if lora is None or moe is None:
            return ()
        capability = self.gpu.compute_capability or (0, 0)
        apart = self.launch.version >= _ADAPTERS_APART and capability >= (9, 0)
        return (
            tensor(
                "lora_experts",
                self.size,
                (lora.max_loras if apart else 1, "adapters at once"),
                (self.tokens * moe.experts_per_token, "visits of an expert"),
                (2 * lora.max_lora_rank, "elements"),
            ),
        )

    @cached_property
    def moment(self) -> Moment:
        """The forward pass's widest moment."""
        return widest_moment(self.model, self.launch)

    def kernel_timing(self) -> Phase:
        """What flushes the L2 cache between two timings of the activation's kernel.

        A product that exists in FP8 alone is written by vLLM's kernel, which is not timed.
        """
        fused = quantised_inputs(self.model, self.launch) == "fp8_block"
        if self.launch.enforce_eager or fused or self.moment.name != "feed_forward":
            return ()
        size = chip_of(self.gpu).l2_bytes
        return (tensor("forward_kernel_timing", 1, (size, "bytes of the L2 cache")),)

    def latent_prefill(self) -> Phase:
        """The up-projected worst context of latent attention beside the layer's inputs."""
        context = latent_context(self.architecture, self.launch)
        if context is None:
            return ()
        return (
            tensor(
                "latent_prefill_context",
                self.size,
                (context.tokens, "tokens"),
                (context.up_projected, "up-projected elements"),
            ),
            self.batch("latent_inputs", context.inputs, "elements of queries, latents and output"),
            self.batch("hidden_states", 2 * self.architecture.hidden_size, "elements"),
        )

    def encoding(self, work: EncoderPass) -> Phase:
        """The encoder over its largest items at once."""
        return (
            *self.encoder_outputs(work),
            *self.pixel_values(work),
            tensor(
                "encoder_block",
                self.size,
                (work.patches, "positions"),
                (work.width, "elements"),
            ),
            self.scaled(
                "encoder_hidden_states",
                "encoder_hidden_copies",
                work.patches * work.hidden_size * self.size,
                f"{work.patches} positions × {work.hidden_size} × {self.size} bytes",
            ),
        )

    def first_launch(self) -> Phase:
        """A copy of the embedding table beside two hidden states.

        The compiler copies the table when it first launches the kernel that reads it; no
        workspace exists yet. Multimodal models look embeddings up outside that kernel.
        Inferred from the sizes of printed peaks: a first pipeline stage (0.19), one command
        twice (0.27.1); a first start of 0.12 shows none.
        """
        compiled = not self.launch.enforce_eager and self.launch.version >= _TABLE_COPIED
        if not compiled or self.architecture.encoders:
            return ()
        hidden = self.architecture.hidden_size
        rows = padded_vocabulary(self.architecture) // self.launch.tensor_parallel_size
        return (
            tensor("embedding_copy", self.size, (rows, "rows"), (hidden, "elements")),
            self.batch("hidden_states", 2 * hidden, "elements of two hidden states"),
        )

    def counted(self, phase: Phase, grown: Phase) -> Phase:
        """The phase as the release prints it, `grown` being what was allocated by then.

        Where growth is charged as consumed the peak counts above all of it.
        """
        if not self.rules.consumed:
            return phase + grown
        later = sum(part.bytes for part in self.growth) - sum(part.bytes for part in grown)
        if later <= 0:
            return phase
        return (*phase, Contribution("allocated_later", -later, "what later phases leave"))

    def phases(
        self, *, first: bool, last: bool, cold: bool, sampler: Sampler | None = None
    ) -> Mapping[str, Phase]:
        """The phases of one pipeline stage; each includes what stays allocated.

        `sampler` is the sampler, None for the one of the release.
        """
        kept = self.kept(first=first)
        found = {"forward": self.counted(self.forward + kept, self.grown)}
        if latent := self.latent_prefill():
            found["latent_prefill"] = self.counted(latent + kept, self.grown)
        if last and not self.pooling:
            drawn = sampling(self.model, self.launch, self.gpu, self.rules, sampler)
            found["sampling"] = self.counted(drawn + kept, self.growth)
        if first and self.encoder is not None:
            found["encoder"] = self.counted(self.encoding(self.encoder), self.small)
        if cold:
            found |= self.first_start(first=first)
        return found

    def first_start(self, *, first: bool) -> dict[str, Phase]:
        """The phases of a stage that an empty compile cache makes larger."""
        timed = self.forward + self.kernel_timing() + self.kept(first=first)
        found = {"forward": self.counted(timed, self.grown)}
        if first and (copied := self.first_launch()):
            found[FIRST_START] = self.counted(copied, self.small)
        return found

    def leaner(self, *, first: bool, cold: bool) -> Mapping[str, Phase]:
        """The last stage with FlashInfer's sampler, where it may be installed or not."""
        if self.pooling or not sampler_in_doubt(self.launch, self.gpu, self.rules):
            return {}
        return self.phases(first=first, last=True, cold=cold, sampler="drawn")

    def kept(self, *, first: bool) -> Phase:
        """What a stage holds through the whole pass."""
        return self.stage_buffers(first=first) + (self.encoder_kept() if first else ())

    @cached_property
    def grown(self) -> Phase:
        """What a forward pass leaves allocated."""
        return self.small + self.forward_cublas + self.workspace

    @cached_property
    def growth(self) -> Phase:
        """What the whole pass leaves allocated."""
        return self.small + self.cublas + self.workspace + self.top_k

    def non_torch(self) -> Phase:
        """Memory outside PyTorch's allocator, and what is charged as consumed."""
        grown = self.scaled("non_torch", "non_torch", BYTES_TO_GIB, "1 GiB")
        parts = (grown, *exchange_buffers(self.architecture, self.launch))
        if not self.rules.consumed:
            return parts
        return (*parts, *self.buffers(), *self.growth)

    def buffers(self) -> Phase:
        """The runner's own tables."""
        return runner_buffers(self.model, self.launch, pooling=self.pooling)

    def outside(self) -> Phase:
        """What the release charges to nothing."""
        uncharged = () if self.rules.consumed else self.buffers()
        after = latent_decode_buffer(self.model, self.launch, self.gpu)
        if after is None or self.rules.latent_decode != "after":
            return uncharged
        return (*uncharged, after)


def runtime_parts(
    model: Model, launch: Launch, gpu: Gpu, coefficients: Coefficients
) -> RuntimeParts:
    """Every contribution to the memory that is neither weights nor KV cache."""
    builder = ProfilePhases(model, launch, gpu, coefficients)
    single = launch.pipeline_parallel_size == 1
    cold = launch.compile_cache == "cold"
    last = builder.phases(first=single, last=True, cold=cold)
    unsaid = launch.compile_cache == "unknown"
    return RuntimeParts(
        last=last,
        inner=last if single else builder.phases(first=True, last=False, cold=cold),
        first_start=builder.first_start(first=True) if unsaid else {},
        leaner=builder.leaner(first=single, cold=cold),
        non_torch=builder.non_torch(),
        graphs=graph_captures(model, launch, gpu, coefficients, builder.traits),
        outside=builder.outside(),
        traits=builder.traits,
    )


__all__ = ["FIRST_START", "Contribution", "Phase", "RuntimeParts", "runtime_parts"]
