"""Logs beside predictions: which term differs, what to change, what to carry over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupReport, StartupRequest
from vllm_preflight.contract.explain import LogExplanationReport
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.explain import explain_startup_log

MODEL = "Qwen/Qwen3-8B"
TOTAL = 23.52
CORE = "(EngineCore pid=40) INFO 03-05 09:00:09"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model of a log is asked for on the Hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def head(version: str = "0.24.0", **arguments: object) -> list[str]:
    given = {"model_tag": MODEL, "model": MODEL, **arguments}
    return [
        f"(APIServer pid=1) INFO 03-05 09:00:01 [utils.py:233] non-default args: {given}",
        "(APIServer pid=1) INFO 03-05 09:00:01 [scheduler.py:238] Chunked prefill is enabled with "
        "max_num_batched_tokens=2048.",
        f"{CORE} [v1/engine/core.py:105] Initializing a V1 LLM engine (v{version}) with config: "
        f"model='{MODEL}', dtype=torch.bfloat16, max_seq_len=8192, kv_cache_dtype=auto, ",
        "(EngineCore pid=40) DEBUG 03-05 09:00:10 [v1/worker/gpu_worker.py:284] worker init memory "
        f"snapshot: torch_peak=0.0GiB, free_memory=23.1GiB, total_memory={TOTAL}GiB, cuda_memory=1",
    ]


def memory(weights: float, activation: float, non_torch: float, left: float) -> list[str]:
    total = weights + activation + non_torch
    return [
        f"{CORE} [v1/worker/model_runner.py:48] Model loading took {weights} GiB memory and 1 s",
        f"(EngineCore pid=40) DEBUG 03-05 09:00:10 [gpu_worker.py:435] Memory profiling takes 1 "
        f"seconds. Total non KV cache memory: {total:.2f}GiB; torch peak memory increase: "
        f"{activation}GiB; non-torch forward increase memory: {non_torch}GiB; weights memory: "
        f"{weights}GiB.",
        f"{CORE} [v1/worker/gpu_worker.py:436] Available KV cache memory: {left:.2f} GiB",
    ]


STARTED = ["(APIServer pid=1) INFO:     Application startup complete."]


def died(sentence: str, *frames: str) -> list[str]:
    prefix = "(EngineCore pid=40) ERROR 03-05 09:02:00 [v1/engine/core.py:1108]"
    stack = [f'{prefix}   File "/opt/vllm/x.py", line 1, in {frame}' for frame in frames]
    return [f"{prefix} EngineCore failed to start.", *stack, f"{prefix} {sentence}"]


def text(*parts: list[str]) -> str:
    return "".join(f"{line}\n" for part in parts for line in part)


def plain(**fields: object) -> StartupReport:
    request = {"model": MODEL, "gpu": "RTX 4090", "vram_gb": TOTAL, "vllm_version": "0.24.0"}
    return predict_startup(
        StartupRequest.model_validate({**request, "max_num_batched_tokens": 2048, **fields})
    ).startup


def started_log(shift: float) -> tuple[str, float]:
    """A log that differs from the prediction by `shift` GiB of activation; and what it left."""
    expected = plain(max_model_len=8192)
    assert expected.weights_gib and expected.activation_peak_gib and expected.non_torch_gib
    assert expected.available_kv_cache_gib
    left = expected.available_kv_cache_gib - shift
    activation = round(expected.activation_peak_gib + shift, 2)
    lines = memory(expected.weights_gib, activation, expected.non_torch_gib, left)
    return text(head(max_model_len=8192), lines, STARTED), left


def test_the_term_that_differs_is_named_and_carried_over() -> None:
    log, left = started_log(0.4)
    report = explain_startup_log(log)
    assert report.outcome == "started"
    assert report.gpu == "GeForce RTX 4090"
    assert report.largest_difference is not None
    assert report.largest_difference.startswith("activation peak")
    assert "(+0.40)" in report.largest_difference
    assert report.largest_difference in report.explanation
    assert report.calibration is not None
    assert report.calibration.activation_gib == pytest.approx(0.4, abs=0.011)
    assert report.calibration.weights_gib == 0
    # What the log taught is what the next prediction says.
    again = plain(max_model_len=8192, calibration=json.dumps(report.calibration.to_json_dict()))
    assert again.available_kv_cache_gib == pytest.approx(left, abs=0.011)


def test_a_log_as_predicted_differs_in_nothing() -> None:
    report = explain_startup_log(started_log(0.0)[0])
    assert report.largest_difference is None
    assert "No memory term" in report.explanation


def test_what_a_log_does_not_attribute_is_the_headline_and_is_not_carried_over() -> None:
    expected = plain(max_model_len=8192)
    assert expected.available_kv_cache_gib
    lines = [f"{CORE} [w.py:1] Available KV cache memory: 1.50 GiB"]
    report = explain_startup_log(text(head(max_model_len=8192), lines, STARTED))
    assert report.calibration is None
    assert report.largest_difference is not None
    assert report.largest_difference.startswith("memory for the KV cache: 1.50 GiB logged")
    rest = 1.5 - expected.available_kv_cache_gib
    assert f"({rest:+.2f})" in report.largest_difference
    assert "A gpu_memory_utilization of 0." in report.explanation
    assert "another process" in report.explanation


def test_the_log_s_own_length_is_the_remedy() -> None:
    sentence = (
        "ValueError: To serve at least one request with the model's max seq len (40960), (5.63 GiB "
        "KV cache is needed, which is larger than the available KV cache memory (4.51 GiB). Based "
        "on the available memory, the estimated maximum model length is 32800. Try increasing"
    )
    lines = [f"{CORE} [w.py:1] Available KV cache memory: 4.51 GiB"]
    log = text(head(max_model_len=40960, max_num_batched_tokens=2048), lines, died(sentence))
    assert explain_startup_log(log).remedies[0] == "--max-model-len 32768"


def test_a_cache_without_memory_of_unknown_size_gets_no_flag_as_proved() -> None:
    log = text(
        head(max_model_len=8192), died("ValueError: No available memory for the cache blocks.")
    )
    report = explain_startup_log(log)
    assert report.failure is not None and report.failure.kind == "no_kv_cache_memory"
    assert report.remedies == [] and "Raise gpu_memory_utilization" in report.explanation


def test_the_total_is_divided_out_of_vllm_s_advice() -> None:
    lines = [
        f"{CORE} [g.py:1] Estimated CUDA graph memory: 0.80 GiB total",
        f"{CORE} [g.py:2] CUDA graph memory profiling is enabled. The current "
        "--gpu-memory-utilization=0.9000 is equivalent to --gpu-memory-utilization=0.8660 without "
        "CUDA graph memory profiling.",
    ]
    report = explain_startup_log(text(head(max_model_len=8192)[:3], lines, STARTED))
    assert report.gpu is not None and report.prediction is not None
    assert any("is taken for" in warning for warning in report.warnings)


def test_the_rebuilt_command_has_all_of_the_engine_s_line() -> None:
    line = (
        f"{CORE} [v1/engine/core.py:105] Initializing a V1 LLM engine (v0.24.0) with config: "
        f"model='{MODEL}', dtype=torch.bfloat16, max_seq_len=12345, tensor_parallel_size=4, "
        "kv_cache_dtype=fp8, enforce_eager=True, "
    )
    report = explain_startup_log(text([line], STARTED), overrides={"gpu": "H100"})
    assert report.command is not None
    for words in (
        "--max-model-len 12345",
        "--tensor-parallel-size 4",
        "--kv-cache-dtype fp8",
        "--enforce-eager",
    ):
        assert words in report.command


def test_weights_as_predicted_alone_teach_nothing() -> None:
    weights = plain(max_model_len=8192).weights_gib
    lines = [f"{CORE} [r.py:1] Model loading took {weights} GiB memory and 1 seconds"]
    report = explain_startup_log(text(head(max_model_len=8192), lines))
    assert report.comparison[0].difference == 0
    assert report.calibration is None


def test_graphs_are_compared_with_what_is_charged() -> None:
    lines = [
        f"{CORE} [r.py:1] Estimated CUDA graph memory: 0.91 GiB total",
        f"{CORE} [r.py:1] Graph capturing finished in 4 secs, took 0.50 GiB",
    ]
    for version, logged in (("0.19.0", 0.5), ("0.21.0", 0.91)):
        report = explain_startup_log(text(head(version, max_model_len=8192), lines, STARTED))
        row = next(row for row in report.comparison if row.term == "cuda_graph_gib")
        assert row.logged == logged


def checked(report: LogExplanationReport) -> None:
    """Each remedy is a flag that the engine accepts and starts with, given the log's figures."""
    assert report.remedies
    assert report.remedies[0] in report.explanation
    assert report.command is not None and report.gpu is not None
    calibration = report.calibration and json.dumps(report.calibration.to_json_dict())
    for remedy in report.remedies:
        # A flag that is given twice counts as given last.
        again = predict_startup(
            StartupRequest(
                command=f"{report.command} {remedy}",
                gpu=report.gpu,
                vram_gb=TOTAL,
                vllm_version="0.24.0",
                calibration=calibration,
            )
        )
        assert again.startup.starts, remedy


def test_a_cache_too_small_gets_lengths_that_start() -> None:
    sentence = (
        "ValueError: To serve at least one request with the model's max seq len (40960), (5.63 GiB "
        "KV cache is needed, which is larger than the available KV cache memory (2.50 GiB). Based "
        "on the available memory, the estimated maximum model length is 18192. Try increasing"
    )
    lines = [f"{CORE} [w.py:1] Available KV cache memory: 2.50 GiB"]
    log = text(head(max_model_len=40960, max_num_batched_tokens=2048), lines, died(sentence))
    report = explain_startup_log(log)
    assert (report.outcome, report.failure and report.failure.kind) == (
        "failed",
        "kv_cache_too_small",
    )
    assert "40,960 tokens needs 5.63 GiB" in report.explanation
    told = next(item for item in report.remedies if item.startswith("--max-model-len "))
    length = int(told.split()[1])
    # vLLM's own estimate is what starts in one case of two; advice is on the safe side of it.
    assert 16_384 <= length <= 18_192
    checked(report)


def test_memory_held_by_others_is_named() -> None:
    sentence = (
        "ValueError: Free memory on device cuda:0 (17.05/23.52 GiB) on startup is less than "
        "desired GPU memory utilization (0.92, 21.64 GiB). Decrease GPU memory utilization or "
        "reduce GPU memory used by other processes."
    )
    log = text(head(max_model_len=2048, gpu_memory_utilization=0.92)[:3], died(sentence))
    report = explain_startup_log(log, overrides={"quantization": "fp8"})
    assert "Only 17.05 GiB were free" in report.explanation
    assert report.remedies == ["--gpu-memory-utilization 0.72"]


OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total "
    "capacity of 23.52 GiB of which 100.00 MiB is free."
)


def test_graphs_that_did_not_fit_get_a_lower_share() -> None:
    sized = [f"{CORE} [k.py:1] GPU KV cache size: 20,000 tokens"]
    stack = died(OOM, "initialize_from_config", "compile_or_warm_up_model", "capture_model")
    log = text(head(max_model_len=8192, gpu_memory_utilization=0.98), sized, stack)
    report = explain_startup_log(log)
    assert report.failure is not None and report.failure.kind == "out_of_memory_after_sizing"
    assert any(remedy.startswith("--gpu-memory-utilization 0.9") for remedy in report.remedies)
    assert "--enforce-eager" in report.remedies
    checked(report)


def test_out_of_memory_while_profiling_gets_smaller_batches() -> None:
    stack = died(OOM, "determine_available_memory", "profile_run")
    log = text(head(max_model_len=8192, max_num_batched_tokens=8192), stack)
    report = explain_startup_log(log)
    assert report.failure is not None and report.failure.phase == "profiling"
    assert "--max-num-batched-tokens 4096" in report.remedies
    checked(report)


def test_state_blocks_follow_the_log() -> None:
    sentence = "ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (417). Each"
    log = text(head(max_model_len=8192, max_num_seqs=1024), died(sentence))
    report = explain_startup_log(log)
    assert "(417 for 1024)" in report.explanation
    assert report.remedies[0] == "--max-num-seqs 417"


def test_a_log_that_does_not_end_is_not_judged() -> None:
    report = explain_startup_log(text(head()))
    assert (report.outcome, report.failure, report.remedies) == ("unknown", None, [])
    assert "does not show whether" in report.explanation
    assert report.calibration is None
    assert "Give the whole log, up to its last line." in report.next_steps


def test_without_a_gpu_the_log_is_still_told() -> None:
    log = text(head()[:3], STARTED)
    report = explain_startup_log(log)
    assert (report.outcome, report.prediction) == ("started", None)
    assert any("give gpu" in warning for warning in report.warnings)
    assert explain_startup_log(log, overrides={"gpu": "RTX 4090"}).prediction is not None


def test_without_a_known_model_the_log_is_still_told() -> None:
    log = text(head(), STARTED).replace(MODEL, "/srv/models/private")
    report = explain_startup_log(log)
    assert (report.outcome, report.prediction) == ("started", None)
    assert report.model == "/srv/models/private"
    assert explain_startup_log(log, overrides={"model": MODEL}).prediction is not None


@pytest.mark.parametrize(
    "path",
    [
        "/srv/models/Qwen3-8B-Base",
        "/root/.cache/huggingface/hub/models--Qwen--Qwen3-8B-Base/snapshots/0123abc",
    ],
)
def test_a_folder_is_found_by_the_model_it_names(path: str) -> None:
    report = explain_startup_log(text(head(), STARTED).replace(MODEL, path))
    assert report.calibration is None
    assert report.prediction is not None


def test_an_older_engine_is_told_but_not_compared() -> None:
    lines = [
        "INFO 01-09 12:10:01 llm_engine.py:237] Initializing an LLM engine (v0.6.3) with config: "
        f"model='{MODEL}', dtype=torch.float16, max_seq_len=5000, ",
        "INFO 01-09 12:10:05 model_runner.py:1067] Loading model weights took 15.2683 GB",
        "ValueError: No available memory for the cache blocks. Try increasing",
    ]
    report = explain_startup_log(text(lines), overrides={"gpu": "RTX 3090"})
    assert report.failure is not None and report.failure.kind == "no_kv_cache_memory"
    assert (report.prediction, report.engine) == (None, "V0")
    assert [(row.term, row.logged) for row in report.comparison] == [("weights_gib", 15.2683)]


@pytest.mark.parametrize("field", ["gpus", "max_model_len", "surprise"])
def test_an_override_that_cannot_be_is_refused(field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        explain_startup_log("", overrides={field: "many"})


def test_no_memory_advice_for_other_failures() -> None:
    refusal = "ValueError: Model architectures ['X'] are not supported for now."
    report = explain_startup_log(text(head(), died(refusal)))
    assert report.failure is not None and report.failure.kind == "unsupported"
    assert report.remedies == []
    assert "No memory setting helps" in report.explanation


def test_secrets_stay_in_the_log() -> None:
    log = text(head(api_key=["sk-invented-key-1"], hf_token="hf_InventedToken"), STARTED)
    log += "(APIServer pid=1) --api-key sk-invented-key-2 Bearer invented.secret.3\n"
    assert "nvented" not in explain_startup_log(log).model_dump_json()


@pytest.mark.parametrize("junk", ["", "\0\1\2", "{}" * 999, "not a log at all\n"])
def test_any_text_is_answered(junk: str) -> None:
    report = explain_startup_log(junk)
    assert (report.outcome, report.comparison) == ("unknown", [])


def test_real_logs_are_met_once_calibrated(shared_dir: Path) -> None:
    """Beside each complete log: little difference before, none after its own calibration."""
    compared = 0
    for path in sorted((shared_dir / "data/logs").glob("*.log")):
        log = path.read_text(encoding="utf-8")
        report = explain_startup_log(log, overrides={"gpu": "H100"})
        assert report.outcome == ("failed" if "FAILED" in path.name else "started")
        left = next((r for r in report.comparison if r.term == "available_kv_cache_gib"), None)
        if report.prediction is None or left is None or left.difference is None:
            continue
        assert abs(left.difference) < 1.0, path.name
        again = explain_startup_log(
            log,
            overrides={
                "gpu": "H100",
                "calibration": json.dumps(
                    (report.calibration or pytest.fail("no calibration")).to_json_dict()
                ),
            },
        )
        after = next(r for r in again.comparison if r.term == "available_kv_cache_gib")
        # Four printed terms, each rounded to 0.01 GiB.
        assert after.difference == pytest.approx(0, abs=0.03), path.name
        compared += 1
    assert compared >= 6


def test_progress_is_passed_to_the_reading_of_the_model() -> None:
    said: list[str] = []
    note: Callable[[str], None] = said.append
    assert explain_startup_log(text(head(), STARTED), progress=note).prediction is not None


@pytest.mark.parametrize(
    ("sentence", "advice"),
    [
        (
            "ValueError: To serve at least one request with the model's max seq len (40960), (5.63 "
            "GiB KV cache is needed, which is larger than the available KV cache memory (2.50 "
            "GiB). Based on the available memory, the estimated maximum model length is 18192. T",
            "--max-model-len 18192",
        ),
        (
            "ValueError: max_num_seqs (1024) exceeds available Mamba cache blocks (417). Each",
            "--max-num-seqs 417",
        ),
        (OOM, "Nothing of this was simulated"),
    ],
)
def test_what_cannot_be_simulated_gets_the_log_s_own_advice(sentence: str, advice: str) -> None:
    log = text(head()[:3], died(sentence)).replace(MODEL, "/srv/models/private")
    report = explain_startup_log(log)
    assert (report.prediction, report.remedies) == (None, [])
    assert advice in report.explanation


def test_a_card_of_no_catalogue_counts_by_its_memory() -> None:
    log = text(head(), STARTED).replace(f"total_memory={TOTAL}", "total_memory=61.7")
    report = explain_startup_log(log)
    assert report.prediction is not None
    assert any("61.7 GiB" in warning for warning in report.warnings)


def test_a_log_with_a_draft_nobody_knows_says_what_is_not_predicted() -> None:
    drafts = {"model": "nosuch/thing", "num_speculative_tokens": 3}
    lines = head(max_model_len=8192, speculative_config=drafts)
    report = explain_startup_log(text(lines, memory(16.1, 1.2, 0.1, 3.2), STARTED))
    assert report.outcome == "started"
    assert report.prediction is not None and report.prediction.failure is not None
    assert report.prediction.failure.kind == "not_modelled"
    assert any("Not all of it is predicted: The draft nosuch/thing" in w for w in report.warnings)
