"""Runtime memory: what it depends on, and that it reproduces printed terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch, Lora, Speculation
from vllm_preflight.memory.runtime.coefficients import Coefficients, load_coefficients
from vllm_preflight.memory.runtime.runtime import RuntimeMemory, runtime_memory
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

LaunchOf = Callable[..., Launch]
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
H100 = find_gpu("H100 SXM5 80GB")
A100 = find_gpu("A100 SXM4 80GB")


def model_of(name: str) -> Model:
    return load_model(name, source="catalog")


def campaign_launch(launch_of: LaunchOf, **changes: Any) -> Launch:
    """vLLM 0.19 on an H100 server, with the settings it printed."""
    return launch_of(
        **{
            "version": (0, 19, 0),
            "model_runner": "v1",
            "cudagraph_memory_charged": False,
            "compile_cache": "cold",
        }
        | changes
    )


def gib(num_bytes: int) -> float:
    return num_bytes / BYTES_TO_GIB


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        # vLLM 0.19.0, H100, 1,024 sequences, 8,192 tokens: "torch peak memory increase".
        (LLAMA, 1.89),
        ("Qwen/Qwen2.5-7B-Instruct", 2.21),
        ("google/gemma-2-9b-it", 3.65),
        ("codellama/CodeLlama-7b-hf", 0.77),
        ("Qwen/Qwen1.5-MoE-A2.7B", 2.47),
        ("deepseek-ai/DeepSeek-V2-Lite-Chat", 1.93),
    ],
)
def test_activation_of_printed_runs(launch_of: LaunchOf, name: str, printed: float) -> None:
    memory = runtime_memory(model_of(name), campaign_launch(launch_of), H100)
    assert gib(memory.activation_bytes) == pytest.approx(printed, abs=0.01)


def test_sampling_decides_large_vocabularies_and_the_forward_pass_small_ones(
    launch_of: LaunchOf,
) -> None:
    launch = campaign_launch(launch_of)
    assert runtime_memory(model_of(LLAMA), launch, H100).activation_phase == "sampling"
    code = model_of("codellama/CodeLlama-7b-hf")
    assert runtime_memory(code, launch, H100).activation_phase == "forward"


def test_the_sorting_sampler_of_early_releases_takes_more(launch_of: LaunchOf) -> None:
    model = model_of("Qwen/Qwen3-Next-80B-A3B-Instruct")
    launch = campaign_launch(launch_of, version=(0, 10, 2), tensor_parallel_size=2)
    # Printed by 0.10.2 on two H200: 5.58 GiB.
    memory = runtime_memory(model, launch, find_gpu("H200 SXM 141GB"))
    assert gib(memory.activation_bytes) == pytest.approx(5.58, abs=0.01)
    later = runtime_memory(model, replace(launch, version=(0, 17, 0)), H100)
    assert later.activation_bytes < memory.activation_bytes / 1.8


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        # vLLM 0.11.0 on an H100: a table of "activation" in two decimals.
        ("openai/gpt-oss-20b", 7.38),
        (LLAMA, 4.76),
        ("Qwen/Qwen3-0.6B", 5.56),
        ("Qwen/Qwen3-32B", 5.64),
    ],
)
def test_a_sorted_vocabulary_takes_38_bytes_a_logit(
    launch_of: LaunchOf, name: str, printed: float
) -> None:
    launch = campaign_launch(launch_of, version=(0, 11, 0), max_model_len=16000)
    memory = runtime_memory(model_of(name), launch, H100)
    assert gib(memory.activation_bytes) == pytest.approx(printed, abs=0.015)


@pytest.mark.parametrize(
    ("version", "runner", "activation", "kept"),
    [
        # vLLM's own profile_run on simulated tensors, Llama-3.1-8B, compiled, cold; without
        # the copy of the first launch, which a simulation does not make.
        ((0, 22, 1), "v1", 1.888, 0.0),
        ((0, 25, 0), "v2", 0.875, 0.0),
        ((0, 28, 0), "v2", 0.844, 0.539 + 0.031),
        ((0, 32, 0), "v2", 0.844, 0.539 + 0.031),
        ((0, 33, 0), "v2", 1.787, 0.539 + 0.001),
    ],
)
def test_a_release_counts_as_its_runner_does(
    launch_of: LaunchOf, version: tuple[int, int, int], runner: str, activation: float, kept: float
) -> None:
    launch = launch_of(version=version, model_runner=runner, compile_cache="warm")
    memory = runtime_memory(model_of(LLAMA), launch, H100)
    assert gib(memory.activation_bytes) == pytest.approx(activation, abs=0.008)
    derived = sum(
        term.bytes or 0
        for term in memory.terms
        if term.name.startswith("non_torch") and term.basis == "derived"
    )
    assert gib(derived) == pytest.approx(kept, abs=0.003)


def test_a_first_start_copies_the_embedding_table(launch_of: LaunchOf) -> None:
    """The same command twice on one RTX 4090 (vLLM 0.27.1): 1.18 GiB, then 0.19."""
    model, card = model_of("Qwen/Qwen3-8B"), find_gpu("RTX 4090")
    limits = {"max_num_seqs": 256, "max_num_batched_tokens": 2048, "version": (0, 27, 1)}
    cold, warm, unknown = (
        runtime_memory(model, launch_of(compile_cache=state, **limits), card)
        for state in ("cold", "warm", "unknown")
    )
    assert gib(cold.activation_bytes) == pytest.approx(1.18, abs=0.01)
    assert gib(warm.activation_bytes) == pytest.approx(0.19, abs=0.01)
    assert unknown.activation_bytes == warm.activation_bytes
    assert unknown.first_start_bytes == cold.activation_bytes - warm.activation_bytes
    assert unknown.low_bytes == warm.low_bytes - unknown.first_start_bytes
    assert (cold.first_start_bytes, warm.first_start_bytes) == (0, 0)


def test_a_sparse_indexer_keeps_the_keys_it_gathers(launch_of: LaunchOf) -> None:
    """vLLM 0.26 on four GB200 printed 6.31 GiB: 4.03 of them gathered keys."""
    launch = launch_of(
        version=(0, 26, 0),
        model_runner="v1",
        max_model_len=819_200,
        tensor_parallel_size=4,
        enable_expert_parallel=True,
        compile_cache="warm",
    )
    memory = runtime_memory(model_of("nvidia/GLM-5.2-NVFP4"), launch, find_gpu("GB200"))
    assert gib(memory.activation_bytes) == pytest.approx(6.31, abs=0.03)


def test_latent_decoding_in_triton_is_reserved_late_then_charged(launch_of: LaunchOf) -> None:
    """DeepSeek-V2-Lite on an A100 with its own length: 1.69 GiB."""
    model = model_of("deepseek-ai/DeepSeek-V2-Lite-Chat")
    limits = {"max_num_seqs": 256, "max_num_batched_tokens": 2048, "max_model_len": 163_840}
    before, late, charged = (
        runtime_memory(model, launch_of(version=version, model_runner="v2", **limits), A100)
        for version in ((0, 24, 0), (0, 30, 0), (0, 33, 0))
    )
    assert gib(late.outside_bytes) == pytest.approx(1.69, abs=0.01)
    assert gib(before.outside_bytes) < 0.2
    assert charged.outside_bytes == 0
    names = {term.name for term in charged.terms}
    assert "non_torch_latent_decoding" in names


@pytest.mark.parametrize("field", ["max_num_seqs", "max_num_batched_tokens"])
def test_activation_grows_with_the_batch(launch_of: LaunchOf, field: str) -> None:
    base = campaign_launch(launch_of, max_num_seqs=64, max_num_batched_tokens=2048)
    sizes = [
        runtime_memory(
            model_of(LLAMA), replace(base, **{field: getattr(base, field) * factor}), H100
        ).activation_bytes
        for factor in (1, 2, 8, 64)
    ]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_no_more_rows_are_sampled_than_there_are_tokens(launch_of: LaunchOf) -> None:
    few = campaign_launch(launch_of, max_num_seqs=256, max_num_batched_tokens=256)
    many = replace(few, max_num_seqs=4096)
    model = model_of(LLAMA)
    assert (
        runtime_memory(model, few, H100).activation_bytes
        == runtime_memory(model, many, H100).activation_bytes
    )


def test_activation_grows_with_the_vocabulary(launch_of: LaunchOf) -> None:
    model = model_of(LLAMA)
    wider = replace(model, architecture=replace(model.architecture, vocab_size=256_000))
    launch = campaign_launch(launch_of)
    narrow, wide = (runtime_memory(item, launch, H100) for item in (model, wider))
    assert wide.activation_bytes > 1.8 * narrow.activation_bytes


def test_tensor_parallelism_does_not_shrink_the_logits(launch_of: LaunchOf) -> None:
    model = model_of(LLAMA)
    one = runtime_memory(model, campaign_launch(launch_of), H100)
    four = runtime_memory(model, campaign_launch(launch_of, tensor_parallel_size=4), H100)
    assert four.activation_bytes == pytest.approx(one.activation_bytes, rel=0.001)
    assert gib(four.non_torch_bytes) == pytest.approx(2.1, abs=0.15)
    assert gib(one.non_torch_bytes) == pytest.approx(0.25, abs=0.05)


def test_only_the_last_pipeline_stage_samples(launch_of: LaunchOf) -> None:
    launch = campaign_launch(launch_of, pipeline_parallel_size=4)
    memory = runtime_memory(model_of(LLAMA), launch, H100)
    first, *_, last = memory.stage_activation_bytes
    assert len(memory.stage_activation_bytes) == 4
    # Printed: 1.10 GiB on the first of two stages, 2.01 on the last.
    assert gib(first) == pytest.approx(1.10, abs=0.01)
    assert gib(last) == pytest.approx(2.01, abs=0.01)
    assert memory.activation_bytes == last


def test_embedding_models_have_no_sampler(launch_of: LaunchOf) -> None:
    model = model_of("Qwen/Qwen3-Embedding-8B")
    launch = campaign_launch(launch_of, version=(0, 12, 0))
    generating = runtime_memory(model, launch, H100)
    pooling = runtime_memory(model, replace(launch, pooling=True), H100)
    assert pooling.activation_bytes < generating.activation_bytes
    # 0.12 on an H100 leaves 0.92 GiB to activation and non-torch memory.
    assert gib(pooling.budget_bytes) == pytest.approx(0.92, abs=0.12)


def test_the_second_runner_keeps_penalty_buffers(launch_of: LaunchOf) -> None:
    memory = runtime_memory(model_of(LLAMA), launch_of(model_runner="v2"), H100)
    buffers = next(term for term in memory.terms if term.name.endswith("output_counts"))
    assert gib(buffers.bytes or 0) == pytest.approx(0.49, abs=0.01)
    first = runtime_memory(model_of(LLAMA), launch_of(model_runner="v1"), H100)
    assert not any("output_counts" in term.name for term in first.terms)


@pytest.mark.parametrize(("version", "charged"), [((0, 19, 1), False), ((0, 21, 0), True)])
def test_graphs_are_charged_where_the_launch_says(
    launch_of: LaunchOf, version: tuple[int, int, int], charged: bool
) -> None:
    launch = launch_of(version=version, model_runner="v1", cudagraph_memory_charged=charged)
    memory = runtime_memory(model_of(LLAMA), launch, H100)
    assert memory.cuda_graph_charged is charged
    assert gib(memory.cuda_graph_bytes) == pytest.approx(0.84, abs=0.15)
    counted = memory.activation_bytes + memory.non_torch_bytes
    assert memory.budget_bytes - counted == (memory.cuda_graph_bytes if charged else 0)


def test_an_eager_launch_captures_nothing(launch_of: LaunchOf) -> None:
    launch = launch_of(enforce_eager=True, cudagraph_memory_charged=True)
    memory = runtime_memory(model_of(LLAMA), launch, H100)
    assert memory.cuda_graph_bytes == 0
    assert not memory.cuda_graph_charged


def test_multimodal_profiling_can_be_switched_off(launch_of: LaunchOf) -> None:
    model = model_of("Qwen/Qwen2.5-VL-7B-Instruct")
    launch = campaign_launch(launch_of, max_num_seqs=16, max_num_batched_tokens=2048)
    profiled = runtime_memory(model, launch, A100)
    assert profiled.activation_phase == "encoder"
    off = {"image": 0, "video": 0}
    for quiet in (
        replace(launch, skip_mm_profiling=True),
        replace(launch, limit_mm_per_prompt=off),
    ):
        memory = runtime_memory(model, quiet, A100)
        assert memory.activation_phase != "encoder"
        assert memory.activation_bytes < profiled.activation_bytes / 4


def test_expert_parallelism_gathers_the_batches_of_data_parallel_ranks(
    launch_of: LaunchOf,
) -> None:
    model = model_of("Qwen/Qwen1.5-MoE-A2.7B")
    alone = campaign_launch(launch_of, enable_expert_parallel=True)
    gathered = replace(alone, data_parallel_size=8)
    small, large = (runtime_memory(model, item, A100) for item in (alone, gathered))
    assert large.activation_bytes > small.activation_bytes


def test_the_interval_is_around_the_prediction(launch_of: LaunchOf) -> None:
    for version, runner in (((0, 9, 2), "v1"), ((0, 19, 0), "v1"), ((0, 33, 0), "v2")):
        memory = runtime_memory(
            model_of(LLAMA), launch_of(version=version, model_runner=runner), H100
        )
        assert memory.low_bytes < 0 < memory.high_bytes
        assert (
            memory.low_bytes + memory.first_start_bytes == memory.leaner_bytes - memory.high_bytes
        )
        assert 0 < memory.spread_bytes < memory.high_bytes


def test_what_nobody_measured_is_less_certain(launch_of: LaunchOf) -> None:
    measured = runtime_memory(model_of(LLAMA), campaign_launch(launch_of), H100)
    newest = runtime_memory(model_of(LLAMA), launch_of(model_runner="v2"), H100)
    assert newest.spread_bytes > 2 * measured.spread_bytes


def test_terms_add_up_and_say_where_they_come_from(launch_of: LaunchOf) -> None:
    model = model_of("deepseek-ai/DeepSeek-V2-Lite-Chat")
    memory = runtime_memory(model, campaign_launch(launch_of), H100)
    assert _sum(memory, "activation") == pytest.approx(memory.activation_bytes, abs=8)
    assert _sum(memory, "non_torch") == pytest.approx(memory.non_torch_bytes, abs=8)
    assert _sum(memory, "cuda_graph") == pytest.approx(memory.cuda_graph_bytes, abs=8)
    assert all(term.formula and term.source for term in memory.terms)
    assert {term.basis for term in memory.terms} <= {"fitted", "derived", "assumed"}


def _sum(memory: RuntimeMemory, prefix: str) -> int:
    return sum(term.bytes or 0 for term in memory.terms if term.name.startswith(prefix))


def test_refitted_coefficients_replace_the_shipped_ones(launch_of: LaunchOf) -> None:
    shipped = load_coefficients()
    doubled = Coefficients(
        tuple(
            replace(item, value=2 * item.value) if item.name == "non_torch" else item
            for item in shipped.entries
        )
    )
    launch = campaign_launch(launch_of)
    plain, refitted = (
        runtime_memory(model_of(LLAMA), launch, H100, item) for item in (None, doubled)
    )
    assert refitted.non_torch_bytes == pytest.approx(2 * plain.non_torch_bytes, abs=2)


@pytest.mark.parametrize("gpu", [H100, A100, find_gpu("B200"), find_gpu("T4"), find_gpu("MI300X")])
@pytest.mark.parametrize("version", [(0, 8, 0), (0, 11, 0), (0, 16, 0), (0, 24, 0), (0, 33, 0)])
def test_every_launch_finds_its_coefficients(
    launch_of: LaunchOf, gpu: Gpu, version: tuple[int, int, int]
) -> None:
    for name in (LLAMA, "Qwen/Qwen1.5-MoE-A2.7B", "deepseek-ai/DeepSeek-V2-Lite-Chat"):
        for tp, pp in ((1, 1), (2, 1), (1, 2)):
            for runner in ("v1", "v2"):
                launch = launch_of(
                    version=version,
                    model_runner=runner,
                    tensor_parallel_size=tp,
                    pipeline_parallel_size=pp,
                    speculation=Speculation("ngram", 3),
                )
                memory = runtime_memory(model_of(name), launch, gpu)
                assert memory.budget_bytes > 0


def test_lora_on_experts_holds_their_inputs_at_its_rank(launch_of: LaunchOf) -> None:
    model = model_of("Qwen/Qwen1.5-MoE-A2.7B")
    plain = launch_of(version=(0, 31, 0), max_num_seqs=16)
    adapted = replace(plain, lora=Lora(max_loras=2, max_lora_rank=64))
    memory = [runtime_memory(model, launch, H100) for launch in (plain, adapted)]
    # Two adapters, 8,192 tokens that visit 4 experts, two products of rank 64 in 16 bit.
    more = 2 * 8192 * 4 * 2 * 64 * 2
    assert memory[1].activation_bytes - memory[0].activation_bytes == more
    assert any(term.name == "activation_lora_experts" for term in memory[1].terms)
    dense = [runtime_memory(model_of(LLAMA), item, H100) for item in (plain, adapted)]
    assert dense[0].activation_bytes == dense[1].activation_bytes


def test_flashinfer_in_an_early_image_is_left_open(launch_of: LaunchOf) -> None:
    model = model_of(LLAMA)
    early = launch_of(version=(0, 10, 2), model_runner="v1")
    memory = runtime_memory(model, early, H100)
    logit = 1024 * 128_256
    # Sorted: 36 bytes a logit beside the logits; drawn by FlashInfer: 12.
    assert memory.leaner_bytes == 24 * logit
    assert memory.high_bytes == -memory.low_bytes + memory.leaner_bytes - memory.first_start_bytes
    for value, activation in (("0", 0), ("1", 24 * logit)):
        said = replace(early, environment={"VLLM_USE_FLASHINFER_SAMPLER": value})
        known = runtime_memory(model, said, H100)
        assert known.leaner_bytes == 0
        assert memory.activation_bytes - known.activation_bytes == activation
    # From 0.11.1 on it must be asked for.
    late = runtime_memory(model, launch_of(version=(0, 11, 1), model_runner="v1"), H100)
    assert late.leaner_bytes == 0


def test_every_machine_that_shares_its_memory_counts_as_one(launch_of: LaunchOf) -> None:
    for name in ("GB10", "Jetson AGX Thor", "Jetson AGX Orin 64GB"):
        memory = runtime_memory(model_of(LLAMA), launch_of(), find_gpu(name))
        taken = next(term for term in memory.terms if term.name == "non_torch")
        assert (taken.bytes or 0) > 2 * 2**30, name
        assert memory.spread_bytes > 2**30, name


def test_vllms_own_image_has_flashinfer(launch_of: LaunchOf) -> None:
    # vLLM 0.11.0 on an H100: a peak of 2.12 GiB and 28.2 GiB of KV cache, as printed.
    launch = launch_of(version=(0, 11, 0), model_runner="v1", max_model_len=16_000)
    model = model_of("mistralai/Mistral-Small-3.2-24B-Instruct-2506")
    unsaid, inside = (
        runtime_memory(model, replace(launch, own_image=own), H100) for own in (False, True)
    )
    assert gib(inside.activation_bytes) == pytest.approx(2.12, abs=0.005)
    assert unsaid.activation_bytes - unsaid.leaner_bytes == inside.activation_bytes
    assert unsaid.leaner_bytes > 0 == inside.leaner_bytes


def test_only_early_images_draw_with_flashinfer(launch_of: LaunchOf) -> None:
    for version, same in (((0, 11, 0), False), ((0, 12, 0), True)):
        launch = launch_of(version=version, model_runner="v1")
        unsaid, inside = (
            runtime_memory(model_of(LLAMA), replace(launch, own_image=own), H100)
            for own in (False, True)
        )
        assert (unsaid.activation_bytes == inside.activation_bytes) is same


@pytest.mark.parametrize(
    ("name", "before", "since"),
    [
        ("Qwen/Qwen3-30B-A3B-Base", (0, 13, 0), (0, 14, 0)),
        ("openai/gpt-oss-20b", (0, 16, 0), (0, 17, 0)),
    ],
)
def test_expert_workspaces_are_kept_since_experts_are_modular(
    launch_of: LaunchOf, name: str, before: tuple[int, int, int], since: tuple[int, int, int]
) -> None:
    def terms(version: tuple[int, int, int]) -> set[str]:
        launch = launch_of(version=version, model_runner="v1", max_num_seqs=8)
        return {term.name for term in runtime_memory(model_of(name), launch, A100).terms}

    assert "activation_expert_buffers" in terms(before)
    assert "activation_expert_workspaces" in terms(since)


def test_what_flashinfer_allocates_for_experts_is_counted(launch_of: LaunchOf) -> None:
    model = model_of("mistralai/Mixtral-8x7B-Instruct-v0.1")
    launch = launch_of(version=(0, 22, 0), model_runner="v1", tensor_parallel_size=2)
    memory = runtime_memory(model, launch, H100)
    inside = next(term for term in memory.terms if term.name == "activation_expert_library")
    assert inside.bytes == 8192 * 2 * (14336 + 7168) * 2
    assert "no run to compare with" in (inside.source or "")
