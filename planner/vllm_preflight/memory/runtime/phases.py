"""What is allocated in each phase of vLLM's profile pass, tensor by tensor.

The activation peak is the largest of four phases, not their sum: the encoder's pass, one
forward pass of max_num_batched_tokens, the up-projection of a latent prefill context, and
sampling over min(max_num_seqs, max_num_batched_tokens) rows of the whole vocabulary.
Source: vLLM 0.33 v1/worker/gpu/model_runner.py:profile_run, and `coefficients.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vllm_preflight.base.units import BYTES_TO_GIB, BYTES_TO_MIB, ceil_div
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.cudagraphs import cudagraph_capture_sizes, full_graph_sizes
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.coefficients import (
    Coefficient,
    Coefficients,
    Traits,
    launch_traits,
)
from vllm_preflight.memory.runtime.shapes import (
    EncoderPass,
    encoder_pass,
    expert_workspaces,
    latent_context,
    padded_vocabulary,
    widest_block,
)
from vllm_preflight.models.model import Model

_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Contribution:
    """One tensor, or one class of tensors: `quantity` bytes times a coefficient.

    Without a coefficient it is `quantity` bytes exactly.
    """

    name: str
    quantity: float
    formula: str
    coefficient: Coefficient | None = None

    @property
    def bytes(self) -> float:
        """Bytes of this contribution."""
        return self.quantity * (self.coefficient.value if self.coefficient else 1)

    @property
    def spread_bytes(self) -> float:
        """Standard deviation of the contribution, in bytes."""
        return self.quantity * (self.coefficient.spread if self.coefficient else 0)


Phase = tuple[Contribution, ...]


@dataclass(frozen=True)
class RuntimeParts:
    """Everything the runtime model adds up, before it is added up.

    `last` and `inner` are the phases of the last pipeline stage, which samples, and of
    any other; only the first runs the encoder. `resident` stays allocated after the
    profile pass and is counted with `non_torch`, as the second model runner prints it.
    """

    last: Mapping[str, Phase]
    inner: Mapping[str, Phase]
    non_torch: Phase
    graphs: Phase
    traits: Traits


class _Builder:
    """Collects contributions for one model, launch and GPU."""

    def __init__(self, model: Model, launch: Launch, gpu: Gpu, coefficients: Coefficients) -> None:
        self.model = model
        self.launch = launch
        self.gpu = gpu
        self.coefficients = coefficients
        self.architecture = model.architecture
        self.size = _DTYPE_BYTES[launch.dtype]
        self.tokens = launch.max_num_batched_tokens
        self.hidden = self.tokens * self.architecture.hidden_size * self.size
        self.experts = expert_workspaces(model, launch, gpu)
        self.traits = launch_traits(launch, gpu, self.architecture)
        # The second runner counts what it keeps as consumed, the first within the peak.
        self.second_runner = launch.model_runner == "v2"
        self.pooling = launch.pooling or self.architecture.task == "embed"
        self.encoder = encoder_pass(model, launch)

    def scaled(self, name: str, coefficient: str, quantity: float, what: str) -> Contribution:
        """A contribution of a fitted coefficient times `quantity` bytes."""
        found = self.coefficients.find(coefficient, self.launch.version, self.traits)
        return Contribution(name, quantity, f"{found.value:g} × {what}", found)

    def workspaces(self) -> Phase:
        """The two expert workspaces for every token of the batch."""
        if self.experts is None:
            return ()
        rows, width = self.experts.rows, self.experts.width
        return (
            Contribution(
                "expert_workspaces",
                rows * width * self.size,
                f"{rows} rows × {width} elements × {self.size} bytes",
            ),
        )

    def kept_workspaces(self) -> Phase:
        """Workspaces where they outlive the forward pass and still count in the peak."""
        if self.second_runner:
            return ()
        kept = self.coefficients.find("expert_workspaces_kept", self.launch.version, self.traits)
        return tuple(replace(part, coefficient=kept) for part in self.workspaces())

    def encoder_outputs(self) -> Phase:
        """Encoder outputs, kept for the whole profile pass."""
        if self.encoder is None:
            return ()
        hidden = self.architecture.hidden_size
        return (
            Contribution(
                "encoder_outputs",
                self.encoder.tokens * hidden * self.size,
                f"{self.encoder.items} items, {self.encoder.tokens} tokens × {hidden} × "
                f"{self.size} bytes",
            ),
        )

    def stage_buffers(self) -> Phase:
        """Hidden states and residual handed from stage to stage."""
        if self.launch.pipeline_parallel_size == 1:
            return ()
        return (
            Contribution(
                "pipeline_buffers",
                2 * self.hidden,
                f"2 × {self.tokens} tokens × {self.architecture.hidden_size} × {self.size} bytes",
            ),
        )

    def forward(self) -> Phase:
        """One forward pass: the widest block over copies of the hidden states."""
        width = widest_block(self.architecture, self.launch.tensor_parallel_size)
        parts = (
            Contribution(
                "forward_block",
                self.tokens * width * self.size,
                f"{self.tokens} tokens × {width} elements × {self.size} bytes",
            ),
            self.scaled(
                "forward_hidden_states",
                "forward_hidden_copies",
                self.hidden,
                f"{self.tokens} tokens × {self.architecture.hidden_size} × {self.size} bytes",
            ),
        )
        return parts if self.second_runner else parts + self.workspaces()

    def sampling(self) -> Phase:
        """Logits of one token per sequence and what the sampler derives from them."""
        rows = min(self.launch.max_num_seqs, self.tokens)
        vocabulary = padded_vocabulary(self.architecture)
        return (
            Contribution(
                "logits",
                rows * vocabulary * self.size,
                f"{rows} sequences × {vocabulary} tokens × {self.size} bytes",
            ),
            self.scaled(
                "sampler",
                "sampler_float32_copies",
                rows * vocabulary * 4,
                f"{rows} sequences × {vocabulary} tokens × 4 bytes",
            ),
            self.scaled(
                "hidden_states_kept",
                "sampler_hidden_copies",
                self.hidden,
                f"{self.tokens} tokens × {self.architecture.hidden_size} × {self.size} bytes",
            ),
            *self.kept_workspaces(),
        )

    def latent_prefill(self) -> Phase:
        """The up-projected worst context of latent attention beside its compressed copy."""
        context = latent_context(self.architecture, self.launch)
        if context is None:
            return ()
        return (
            Contribution(
                "latent_prefill_context",
                (context.up_projected + context.compressed) * self.size,
                f"{context.tokens} tokens × "
                f"{(context.up_projected + context.compressed) // context.tokens} elements × "
                f"{self.size} bytes",
            ),
            self.scaled(
                "hidden_states_kept",
                "sampler_hidden_copies",
                self.hidden,
                f"{self.tokens} tokens × {self.architecture.hidden_size} × {self.size} bytes",
            ),
        )

    def encoding(self, work: EncoderPass) -> Phase:
        """The encoder over its largest items at once."""
        return (
            Contribution(
                "encoder_block",
                work.patches * work.width * self.size,
                f"{work.patches} positions × {work.width} elements × {self.size} bytes",
            ),
            self.scaled(
                "encoder_hidden_states",
                "encoder_hidden_copies",
                work.patches * work.hidden_size * self.size,
                f"{work.patches} positions × {work.hidden_size} × {self.size} bytes",
            ),
        )

    def phases(self, *, first: bool, last: bool) -> Mapping[str, Phase]:
        """The phases of one pipeline stage; each includes what stays allocated."""
        kept = self.stage_buffers() + (self.encoder_outputs() if first else ())
        found: dict[str, Phase] = {"forward": self.forward() + kept}
        if latent := self.latent_prefill():
            found["latent_prefill"] = latent + kept
        if last and not self.pooling:
            found["sampling"] = self.sampling() + kept
        if first and self.encoder is not None:
            found["encoder"] = self.encoding(self.encoder) + kept
        return found

    def non_torch(self) -> Phase:
        """Memory outside PyTorch's allocator, and what the second runner keeps."""
        parts = (self.scaled("non_torch", "non_torch", BYTES_TO_GIB, "1 GiB"),)
        if not self.second_runner:
            return parts
        parts += self.workspaces()
        if not self.pooling:
            seqs, vocabulary = self.launch.max_num_seqs, padded_vocabulary(self.architecture)
            parts += (
                Contribution(
                    "penalty_buffers",
                    seqs * (vocabulary + ceil_div(vocabulary, 32)) * 4,
                    f"{seqs} sequences × ({vocabulary} + {vocabulary} / 32) × 4 bytes",
                ),
            )
        return parts

    def graphs(self) -> Phase:
        """CUDA graphs: a first capture, then a share per graph and layer of a stage."""
        sizes = cudagraph_capture_sizes(
            self.launch, self.gpu.compute_capability, self.architecture.model_type
        )
        count = len(sizes) + len(full_graph_sizes(self.launch, sizes))
        if not count:
            return ()
        layers = ceil_div(len(self.architecture.layers), self.launch.pipeline_parallel_size)
        return (
            self.scaled("cuda_graph_pool", "graph_pool", BYTES_TO_GIB, "1 GiB"),
            self.scaled(
                "cuda_graphs",
                "graph_layer",
                count * layers * BYTES_TO_MIB,
                f"{count} graphs × {layers} layers × 1 MiB",
            ),
        )


def runtime_parts(
    model: Model, launch: Launch, gpu: Gpu, coefficients: Coefficients
) -> RuntimeParts:
    """Every contribution to the memory that is neither weights nor KV cache."""
    builder = _Builder(model, launch, gpu, coefficients)
    single = launch.pipeline_parallel_size == 1
    return RuntimeParts(
        last=builder.phases(first=single, last=True),
        inner=builder.phases(first=True, last=False),
        non_torch=builder.non_torch(),
        graphs=builder.graphs(),
        traits=builder.traits,
    )
