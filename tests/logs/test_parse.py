"""Logs of every engine and kind: their numbers, how they ended, and never a wrong claim.

The logs in tests/data/logs are invented, in vLLM's line formats.
"""

from __future__ import annotations

import csv
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vllm_preflight.logs.parse import parse_log
from vllm_preflight.logs.startup_log import StartupLog

# Log -> outcome and kind of failure.
VERDICTS = {
    "v1_started_tp2": ("started", None),
    "v1_started_consumed": ("started", None),
    "v0_started_063": ("started", None),
    "v0_started_085": ("started", None),
    "restarted": ("started", None),
    "kv_cache_too_small": ("failed", "kv_cache_too_small"),
    "v0_kv_cache_too_small": ("failed", "kv_cache_too_small"),
    "no_kv_cache_memory": ("failed", "no_kv_cache_memory"),
    "out_of_memory_in_profile": ("failed", "weights_do_not_fit"),
    "free_memory_below_request": ("failed", "free_memory_below_request"),
    "weights_do_not_fit": ("failed", "weights_do_not_fit"),
    "out_of_memory_after_sizing": ("failed", "out_of_memory_after_sizing"),
    "mamba_blocks_too_few": ("failed", "mamba_blocks_too_few"),
    "invalid_arguments_usage": ("failed", "invalid_arguments"),
    "invalid_arguments_heads": ("failed", "invalid_arguments"),
    "unsupported": ("failed", "unsupported"),
    "other_no_network": ("failed", "other"),
    "unknown_loading": ("unknown", None),
}
SECRETS = re.compile(r"sk-invented|hf_Invented|hunter2")


@pytest.fixture(scope="session")
def logs(repository: Path) -> dict[str, str]:
    folder = repository / "tests/data/logs"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.log")}
    assert set(texts) == set(VERDICTS)
    return texts


def kind(log: StartupLog) -> str | None:
    return log.failure.kind if log.failure else None


@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(logs: dict[str, str], name: str) -> None:
    log = parse_log(logs[name])
    assert (log.outcome, kind(log)) == VERDICTS[name]
    assert log.complete == (log.outcome != "unknown")


@pytest.mark.parametrize("name", VERDICTS)
def test_no_secret_leaves_a_log(logs: dict[str, str], name: str) -> None:
    assert not SECRETS.search(repr(parse_log(logs[name])))


def test_numbers_of_two_v1_workers(logs: dict[str, str]) -> None:
    log = parse_log(logs["v1_started_tp2"])
    assert (log.version, log.engine, log.model) == ("0.19.0", "V1", "acme/Example-9B")
    assert {rank.rank for rank in log.ranks} == {"Worker_TP0", "Worker_TP1"}
    assert (log.weights_gib, log.activation_peak_gib, log.non_torch_gib) == (8.75, 2.31, 1.57)
    assert (log.cuda_graph_gib, log.cuda_graph_estimated_gib) == (0.58, 0.92)
    assert log.cuda_graph_charged is False
    # Only the first worker prints its KV memory; the other's follows from its terms.
    assert log.available_kv_gib == 43.25
    assert (log.total_gib, log.free_gib_at_start) == (63.5, 61.25)
    assert (log.kv_cache_tokens, log.num_gpu_blocks) == (629_840, 39_365)
    assert (log.max_concurrency, log.max_concurrency_at) == (102.51, 6144)
    assert (log.max_num_batched_tokens, log.max_num_seqs, log.gpu_count) == (4096, 320, 2)
    assert (log.attention_backend, log.architecture) == ("FLASH_ATTN", "ExampleForCausalLM")
    assert log.config["dtype"] == "bfloat16"
    assert log.config["tensor_parallel_size"] == "2"
    assert log.arguments["gpu_memory_utilization"] == 0.88


def test_summary_of_late_versions(logs: dict[str, str]) -> None:
    log = parse_log(logs["v1_started_consumed"])
    rank = log.ranks[0]
    assert (rank.weights_gib, rank.consumed_gib, rank.activation_peak_gib) == (17.43, 17.96, 3.24)
    assert (rank.free_gib_at_start, rank.total_gib, rank.requested_gib) == (62.8, 63.5, 55.88)
    assert log.cuda_graph_charged is True
    assert log.block_size == 1184
    assert log.arguments["speculative_config"] == {"method": "mtp", "num_speculative_tokens": 1}
    assert log.arguments["api_key"] == "[removed]"


def test_v0_with_the_peak_that_holds_the_weights(logs: dict[str, str]) -> None:
    log = parse_log(logs["v0_started_063"])
    assert (log.engine, log.version, log.attention_backend) == ("V0", "0.6.3.post1", "XFORMERS")
    assert (log.weights_gib, log.non_torch_gib, log.available_kv_gib) == (5.8321, 0.27, 5.58)
    assert log.activation_peak_gib == pytest.approx(7.30 - 5.8321)
    assert (log.num_gpu_blocks, log.max_concurrency) == (3265, 10.45)


def test_v0_with_worker_processes(logs: dict[str, str]) -> None:
    log = parse_log(logs["v0_started_085"])
    assert log.weights_gib == 3.672
    assert (log.available_kv_gib, log.non_torch_gib, log.num_gpu_blocks) == (16.45, 0.33, 2695)
    assert log.config["quantization"] == "awq_marlin"
    assert log.arguments["limit_mm_per_prompt"] == {"image": 2}
    assert (log.total_gib, log.cuda_graph_gib) == (23.62, 0.41)


def test_figures_of_failures(logs: dict[str, str]) -> None:
    def figures(name: str) -> dict[str, float]:
        failure = parse_log(logs[name]).failure
        assert failure is not None
        return dict(failure.figures)

    assert figures("kv_cache_too_small") == {
        "max_model_len": 98_304,
        "kv_needed_gib": 13.5,
        "available_kv_gib": 2.71,
        "estimated_max_model_len": 19_728,
    }
    assert figures("v0_kv_cache_too_small") == {"max_model_len": 30_000, "kv_cache_tokens": 22_496}
    assert figures("free_memory_below_request") == {
        "free_gib": 41.07,
        "total_gib": 63.5,
        "utilization": 0.88,
        "requested_gib": 55.88,
    }
    assert figures("mamba_blocks_too_few") == {"max_num_seqs": 1024, "mamba_blocks": 417}
    assert figures("weights_do_not_fit")["tried_gib"] == pytest.approx(112 / 1024, abs=1e-4)


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total"
SAMPLER = (
    "RuntimeError: CUDA out of memory occurred when warming up sampler with 256 dummy requests"
)


@pytest.mark.parametrize(
    ("before", "error", "expected"),
    [
        ("", OOM, "out_of_memory"),
        ("Starting to load model acme/Example-9B...", OOM, "weights_do_not_fit"),
        ("Model loading took 17.43 GiB memory and 21.5 seconds", OOM, "weights_do_not_fit"),
        ("", SAMPLER, "out_of_memory_after_sizing"),
    ],
)
def test_without_a_stack_the_likeliest_is_given_as_such(
    before: str, error: str, expected: str
) -> None:
    prefix = "(EngineCore pid=40) INFO 03-05 09:00:30 [a.py:1] "
    log = parse_log(f"{prefix}{before}\n{prefix.replace('INFO', 'ERROR')}{error}\n")
    assert log.failure is not None
    assert (log.failure.kind, log.failure.certain) == (expected, False)


def test_a_stack_or_the_cache_s_size_is_proof(logs: dict[str, str]) -> None:
    for name in ("weights_do_not_fit", "out_of_memory_in_profile", "out_of_memory_after_sizing"):
        failure = parse_log(logs[name]).failure
        assert failure is not None and failure.certain
    prefix = "(EngineCore pid=40) INFO 03-05 09:00:30 [a.py:1] "
    sized = parse_log(f"{prefix}GPU KV cache size: 250,432 tokens\n{OOM}\n").failure
    assert sized is not None
    assert (sized.kind, sized.certain) == ("out_of_memory_after_sizing", True)


def test_a_restart_is_told_by_its_last_attempt(logs: dict[str, str]) -> None:
    log = parse_log(logs["restarted"])
    assert (log.attempts, log.version, log.kv_cache_tokens) == (2, "0.33.0", 222_190)
    back = parse_log(logs["v1_started_tp2"] + logs["kv_cache_too_small"])
    assert (back.attempts, back.outcome, kind(back)) == (2, "failed", "kv_cache_too_small")
    # The second attempt has not ended: the first tells more.
    pending = parse_log(logs["kv_cache_too_small"] + logs["unknown_loading"])
    assert (pending.outcome, kind(pending)) == ("failed", "kv_cache_too_small")


def test_a_crash_while_serving_is_no_failed_start(logs: dict[str, str]) -> None:
    crash = logs["weights_do_not_fit"].splitlines()[-5:]
    log = parse_log(logs["v1_started_tp2"] + "\n".join(crash))
    assert log.outcome == "started_then_failed"
    assert log.failure is not None and log.failure.phase == "serving"


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "hello", "\x00\x01\x02", "{" * 5000, "'" * 5000, "non-default args: {'a': " * 50],
)
def test_texts_that_are_no_logs(text: str) -> None:
    assert parse_log(text).outcome == "unknown"


def test_words_in_a_prompt_are_not_the_log_s_own() -> None:
    line = (
        "(APIServer pid=1) INFO 03-05 09:00:01 [logger.py:39] Received request cmpl-1: prompt: "
        "'ValueError: No available memory for the cache blocks. INFO:     Application startup "
        "complete.', params: SamplingParams(n=1)"
    )
    log = parse_log(f"{line}\n")
    assert (log.outcome, log.failure) == ("unknown", None)
    assert parse_log("What does 'Application startup complete.' mean?\n").outcome == "unknown"


def test_a_survived_traceback_is_no_failure(logs: dict[str, str]) -> None:
    survived = (
        "Task exception was never retrieved\nTraceback (most recent call last):\n"
        '  File "a.py", line 1, in b\nRuntimeError: something small\n'
    )
    assert parse_log(survived + logs["unknown_loading"]).outcome == "unknown"


def test_a_stop_by_the_user_is_no_failure(logs: dict[str, str]) -> None:
    stop = "Traceback (most recent call last):\n  File 'a.py', line 1, in b\nKeyboardInterrupt\n"
    assert parse_log(logs["unknown_loading"] + stop).outcome == "unknown"


def test_a_number_that_was_cut_is_no_number() -> None:
    prefix = "(EngineCore pid=40) INFO 03-05 09:00:30 [v1/worker/gpu_worker.py:436] "
    assert parse_log(prefix + "Available KV cache memory: 33.9").available_kv_gib is None
    assert parse_log(prefix + "Available KV cache memory: 33.9 GiB").available_kv_gib == 33.9
    assert parse_log("vLLM API server version 0.19.1").version is None
    assert parse_log("vLLM API server version 0.19.1\n").version == "0.19.1"


@pytest.mark.parametrize(
    "prefix",
    [
        "(VllmWorker rank=1 pid=77) INFO 04-16 10:00:00 [gpu_model_runner.py:1291] ",
        "(RayWorkerWrapper pid=77, ip=10.0.0.2) INFO 04-16 10:00:00 [gpu_model_runner.py:1291] ",
        "\x1b[36m(RayWorkerVllm pid=77)\x1b[0m INFO 04-16 10:00:00 model_runner.py:1291] ",
        "(Worker_DP0_TP1_EP1 pid=77) INFO 04-16 10:00:00 [v1/worker/gpu_model_runner.py:1291] ",
        "(EngineCore_0 pid=77) INFO 2026-04-16 10:00:00 [gpu_model_runner.py:1291] ",
    ],
)
def test_every_kind_of_worker_is_told_apart(prefix: str) -> None:
    other = "(VllmWorker rank=0 pid=76) INFO 04-16 10:00:00 [gpu_model_runner.py:1291] "
    text = "".join(
        f"{head}Model loading took {size} GiB and 18.3 seconds\n"
        for head, size in ((other, "3.5"), (prefix, "4.25"))
    )
    log = parse_log(text)
    assert [rank.weights_gib for rank in log.ranks] == [3.5, 4.25]
    assert log.ranks[1].rank in prefix


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        ("Using Flash Attention backend on V1 engine.", "FLASH_ATTN"),
        ("Using FlashInfer backend on V1 engine.", "FLASHINFER"),
        ("Using Triton MLA backend on V1 engine.", "TRITON_MLA"),
        ("Using AttentionBackendEnum.FLASH_ATTN backend.", "FLASH_ATTN"),
        ("Using XFormers backend.", "XFORMERS"),
        ("Using FLASHMLA attention backend out of potential backends: ['FLASHMLA'].", "FLASHMLA"),
        ("Using TRITON backend for Unquantized MoE", None),
    ],
)
def test_attention_backends_of_all_versions(printed: str, name: str | None) -> None:
    line = f"(EngineCore pid=40) INFO 03-05 09:00:09 [cuda.py:334] {printed}\n"
    assert parse_log(line).attention_backend == name


def wrap_json(text: str) -> str:
    return "".join(
        json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026-03-05T09:00:00Z"}) + "\n"
        for line in text.splitlines()
    )


def prefix_lines(prefix: str) -> Callable[[str], str]:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.splitlines())


def colour(text: str) -> str:
    return re.sub(r"\b(INFO|ERROR)\b", "\x1b[32m\\1\x1b[0m", text)


def to_crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def utf16_as_bytes(text: str) -> str:
    return "".join(f"{char}\0" for char in text)


WRAPPINGS: dict[str, Callable[[str], str]] = {
    "json": wrap_json,
    "crlf": to_crlf,
    "utf-16 read as bytes": utf16_as_bytes,
    "compose": prefix_lines("vllm-server-1  | "),
    "cluster": prefix_lines("[pod/vllm-0/server] 2026-03-05T09:00:00.000000001Z "),
    "journal": prefix_lines("Mar 05 09:00:00 node-3 vllm[811]: "),
    "colours": colour,
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", VERDICTS)
def test_wrappings_change_nothing(logs: dict[str, str], name: str, wrapping: str) -> None:
    plain, wrapped = parse_log(logs[name]), parse_log(WRAPPINGS[wrapping](logs[name]))
    assert (wrapped.outcome, kind(wrapped)) == (plain.outcome, kind(plain))
    assert wrapped.ranks == plain.ranks
    assert wrapped.version == plain.version
    assert wrapped.kv_cache_tokens == plain.kv_cache_tokens


def cut(text: str, dice: random.Random) -> str:
    first, last = sorted(dice.randrange(len(text) + 1) for _ in range(2))
    return dice.choice((text[first:last], text[:first] + text[last:], text[:last], text[first:]))


def shuffle(text: str, dice: random.Random) -> str:
    lines = text.splitlines()
    dice.shuffle(lines)
    return "\n".join(lines)


def corrupt(text: str, dice: random.Random) -> str:
    chars = list(text)
    for _ in range(dice.randrange(1, 60)):
        place = dice.randrange(len(chars))
        chars[place : place + dice.choice((0, 1, 5))] = chr(dice.choice((0, 7, 27, 65533, 10)))
    return "".join(chars)


def interleave(text: str, dice: random.Random) -> str:
    lines = text.splitlines()
    half = len(lines) // 2
    pools, mixed = [lines[:half], lines[half:]], list[str]()
    while any(pools):
        pool = dice.choice([pool for pool in pools if pool])
        mixed.append(pool.pop(0))
    return "\n".join(mixed)


MUTATIONS = (cut, shuffle, corrupt, interleave)


Truths = dict[str, tuple[str, str | None]]


def damage_and_judge(texts: dict[str, str], truths: Truths, runs: int) -> int:
    """Damage logs at random; how many failures were still told by their kind.

    Less may be known of a damaged log than of the whole one, but nothing else.
    """
    dice = random.Random(20261124)
    names = sorted(texts)
    told = 0
    for number in range(runs):
        name = names[number % len(names)]
        text = texts[name]
        for mutation in dice.sample(MUTATIONS, dice.choice((1, 1, 2))):
            text = mutation(text, dice) or "."
        log = parse_log(text)
        outcome, failure = truths[name]
        assert log.outcome in ("unknown", outcome), (number, name)
        if log.outcome == "failed":
            assert log.failure is not None
            # Without its stack an out-of-memory error has no certain place; without its cause
            # a failure has no reason.
            known = not log.failure.certain or kind(log) in {failure, "out_of_memory", "other"}
            assert known, (number, name)
            told += kind(log) == failure
        assert not SECRETS.search(repr(log)), (number, name)
    return told


def test_a_thousand_damaged_logs_are_never_judged_wrongly(logs: dict[str, str]) -> None:
    texts = {name: text for name, text in logs.items() if name != "restarted"}
    assert damage_and_judge(texts, dict(VERDICTS), 1000) > 250


def test_damaged_real_logs_are_never_judged_wrongly(shared_dir: Path) -> None:
    paths = sorted((shared_dir / "data/logs").glob("*.log"))
    texts = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    whole = {name: parse_log(text) for name, text in texts.items()}
    truths: Truths = {name: (log.outcome, kind(log)) for name, log in whole.items()}
    assert damage_and_judge(texts, truths, 200) > 20


def test_twenty_megabytes_take_seconds(logs: dict[str, str]) -> None:
    noise = "(EngineCore pid=40) DEBUG 03-05 09:00:43 [v1/x.py:1] ubatch_slices: None, padded: 1\n"
    body = logs["v1_started_tp2"].splitlines(keepends=True)
    text = noise * 100_000 + "".join(body[:20]) + noise * 100_000 + "".join(body[20:])
    text += "x" * 3_000_000 + "Error: " * 100_000
    assert len(text) > 20_000_000
    begun = time.process_time()
    log = parse_log(text)
    assert time.process_time() - begun < 30
    assert (log.outcome, log.kv_cache_tokens) == ("started", 629_840)


@pytest.mark.parametrize("unit", ["\n", "   \n", "x", "INFO 03-05 09:00:43 [a.py:1] nothing\n"])
def test_what_tells_nothing_is_passed_over_in_one_walk(unit: str) -> None:
    begun = time.process_time()
    assert parse_log(unit * (20_000_000 // len(unit))).outcome == "unknown"
    # A search for each of the words would take a second and more.
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "unit",
    [
        "Traceback (most recent call last)Error: Value error, ",
        "(Worker_TP0 pid=1) INFO 03-05 09:00:43 [a.py:1] Model loading took ",
        "total_gpu_memory=1GiB peak_torch_memory= Memory profiling results",
        "non-default args: {'a': [[[[{{{{",
        "model weights take 1.0GiB; non_torch_memory takes ",
        "api_key token password secret bearer ",
        "\x1b[0;0;0;0",
    ],
)
def test_hostile_repetition_is_linear(unit: str) -> None:
    begun = time.process_time()
    # Quadratic time would be minutes.
    parse_log(unit * (300_000 // len(unit)))
    parse_log((unit + "\n") * (300_000 // len(unit)))
    assert time.process_time() - begun < 20


def campaign_row(folder: Path, log: str) -> dict[str, str]:
    with (folder / "vllm_0_19_h100_campaign.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["log_file"].replace("--h100-80gb", ""): row for row in csv.DictReader(file)}
    pattern = re.sub(r"-+", "-", log.replace("__", "-"))
    return next(row for name, row in rows.items() if re.sub(r"-+", "-", name) == pattern)


def test_complete_logs_of_the_campaign(shared_dir: Path) -> None:
    """Every number of the published table, from the logs it was made from."""
    data = shared_dir / "data"
    paths = sorted((data / "logs").glob("*.log"))
    assert len(paths) == 10
    for path in paths:
        text = path.read_text(encoding="utf-8")
        begun = time.process_time()
        log = parse_log(text)
        assert time.process_time() - begun < 1, path.name
        row = campaign_row(data, path.name)
        if "FAILED" in path.name:
            assert log.outcome == "failed", path.name
            continue
        assert (log.outcome, log.version, log.model) == ("started", "0.19.0", row["model"])
        first = next(rank for rank in log.ranks if rank.rank in _FIRST)
        printed = {
            "weight_memory_gib": log.weights_gib,
            "activation_memory_gib": first.activation_peak_gib,
            "non_torch_forward_gib": first.non_torch_gib,
            "total_non_kv_cache_gib": first.non_kv_gib,
            "cuda_graph_estimated_gib": log.cuda_graph_estimated_gib,
            "cuda_graph_actual_gib": log.cuda_graph_gib,
            "kv_cache_memory_gib": first.available_kv_gib,
            "kv_cache_tokens": log.kv_cache_tokens,
            "max_concurrency": log.max_concurrency,
            "init_free_memory_gib": log.free_gib_at_start,
            "init_total_memory_gib": log.total_gib,
            "requested_memory_gib": first.requested_gib,
        }
        for name, value in printed.items():
            # The table sums the printed parts; the log prints the rounded sum.
            slack = 0.011 if name == "total_non_kv_cache_gib" else 1e-9
            assert value == pytest.approx(float(row[name]), abs=slack), (path.name, name)


_FIRST = ("EngineCore", "Worker_TP0", "Worker_PP0")


def test_failures_of_the_campaign(shared_dir: Path) -> None:
    kinds = {
        "google-gemma-2-2b-it__tp1pp1dp1-8192.FAILED.log": "other",
        "google-gemma-4-e4b-it__tp1pp1dp1-8192.FAILED.log": "unsupported",
        "meta-llama-llama-3-1-8b__tp1pp1dp2-8192.FAILED.log": "invalid_arguments",
    }
    for name, expected in kinds.items():
        text = (shared_dir / "data/logs" / name).read_text(encoding="utf-8")
        assert kind(parse_log(text)) == expected, name
