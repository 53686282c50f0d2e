"""Write the measured serving runs that fitting and grading of speed use.

    python scripts/build_serving_cases.py --shared ../shared --date 2026-11-24

Reads `data/serving_performance.jsonl` and `serving_performance_2.jsonl` and writes
`benchmarks/data/serving_cases.jsonl`: figures only, in our own short form. The tables of
`serving_judgements` were filled by hand; everything else is carried over by rule.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.serving_cases import FIELDS  # noqa: E402
from scripts.serving_judgements import (  # noqa: E402
    CACHE_SETTINGS,
    DROPPED,
    ENGINE_LIKELY,
    EXCLUDED,
    FIT_ONLY,
    FLAGS,
    GPUS,
    LAYOUT_INFERRED,
    MODELS,
    NARROW_CACHE,
    NOMINAL,
    RANDOM_PROMPTS,
    RELEASES,
    SHARED_PREFIX,
    SHORT_PROMPT,
)

from vllm_preflight.base.errors import UnknownGpu  # noqa: E402
from vllm_preflight.hardware.catalog import find_gpu  # noqa: E402
from vllm_preflight.launch.versions import OLDEST_KNOWN  # noqa: E402
from vllm_preflight.models.catalog.entries import catalog_entry  # noqa: E402

Json = dict[str, Any]
TARGET = ROOT / "benchmarks/data/serving_cases.jsonl"
SHARED = ("serving_performance.jsonl", "serving_performance_2.jsonl")
# Sizes and flags that the second file gives as fields.
_GIVEN = (
    "pipeline_parallel_size",
    "data_parallel_size",
    "enable_expert_parallel",
    "max_num_batched_tokens",
)
_PARALLEL = {
    "tensor_parallel_size": re.compile(r"-tp (\d+)|TP(\d+)"),
    "pipeline_parallel_size": re.compile(r"pipeline_parallel_size=(\d+)"),
    "data_parallel_size": re.compile(r"data_parallel_size=(\d+)"),
}
# A request rate no engine keeps up with: everything arrives at once.
_AT_ONCE = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    arguments = parser.parse_args()
    cases = cases_of(arguments.shared)
    header = {"schema": 1, "date": arguments.date, "fields": FIELDS}
    text = "\n".join(json.dumps(item, ensure_ascii=False) for item in [header, *cases])
    TARGET.write_text(text + "\n", encoding="utf-8")
    reasons = Counter(case.get("excluded", "kept") for case in cases)
    for reason, number in reasons.most_common():
        print(f"{number:4} {reason}")


def cases_of(shared: Path) -> list[Json]:
    """Every run of the shared files."""
    texts = [(shared / "data" / name).read_text(encoding="utf-8") for name in SHARED]
    return [case_of(json.loads(line)) for text in texts for line in text.splitlines()]


def case_of(row: Json) -> Json:
    """One run in our form, without what is empty."""
    case: Json = {
        "id": row["id"],
        "source": row["source"],
        "date": row["date"],
        "model_as_written": row["model"],
        "gpu_as_written": row["gpu"],
        **engine_of(row),
        **model_of(row),
        "gpu": gpu_of(row),
        "args": arguments_of(row),
        **lengths_of(row),
        **arrival_of(row),
    }
    observed, derived = figures_of(row, case)
    for name in looked_up(DROPPED, row["id"]) or ():
        observed.pop(name, None)
    case |= {"observed": observed, "derived": derived}
    case["ttft_statistic"] = statistic_of(row)
    case["ttft_queueing"] = is_queueing(case)
    case["prefix_hit_rate"] = prefix_hits(row)
    case["fit_only"] = looked_up(FIT_ONLY, row["id"])
    case["excluded"] = looked_up(EXCLUDED, row["id"]) or unsure(row) or why_excluded(case)
    empty: tuple[Any, ...] = (None, {}, False, 0.0)
    return {name: value for name, value in case.items() if name == "observed" or value not in empty}


def engine_of(row: Json) -> Json:
    written: str = row["vllm_version"] or ""
    if not written:
        if "vllm" in row["id"].split("/")[-1]:
            return {"engine": "vllm", **by_date(row)}
        likely = row["source"] in ENGINE_LIKELY
        return {"engine": "vllm likely" if likely else None, **by_date(row)}
    if written.startswith(("SGLang", "TensorRT")):
        return {}
    found = re.match(r"(\d+)\.(\d+)\.(\d+|x)", written)
    if found is None:
        return {"engine": "vllm", **by_date(row)}
    version = f"{found[1]}.{found[2]}.{found[3].replace('x', '0')}"
    return {"engine": "vllm", "version": version, "version_basis": "stated"}


def by_date(row: Json) -> Json:
    """The newest release of the day; of the middle of the period when there is no date."""
    date = row["date"] or "2025-09-01"
    version = next((name for since, name in reversed(RELEASES) if since <= date), "0.6.0")
    return {"version": version, "version_basis": "release of the date"}


def model_of(row: Json) -> Json:
    if row["model"] in MODELS:
        name, quantization = MODELS[row["model"]]
        return {"model": name, "quantization": quantization}
    entry = catalog_entry(row["model"])
    return {"model": entry and entry.id}


def gpu_of(row: Json) -> str | None:
    try:
        return find_gpu(GPUS.get(row["gpu"], row["gpu"])).name
    except UnknownGpu:
        return None


def arguments_of(row: Json) -> Json:
    text = f"{row['quote']} {row.get('notes', '')}"
    sizes: Json = {"tensor_parallel_size": row["tensor_parallel_size"]}
    for name in ("pipeline_parallel_size", "data_parallel_size"):
        found = _PARALLEL[name].search(text)
        sizes[name] = int(found[1]) if found else None
    if sizes["tensor_parallel_size"] is None and row["gpu_count"] in (None, 1):
        sizes["tensor_parallel_size"] = 1
    flags: Json = {"max_num_seqs": row["max_num_seqs"]}
    if row["kv_cache_dtype"] not in (None, "auto"):
        flags["kv_cache_dtype"] = row["kv_cache_dtype"]
    elif row["model"] in NARROW_CACHE:
        flags["kv_cache_dtype"] = "fp8"
    length = re.search(r"--max-model-len[= ](\d+)", text)
    flags["max_model_len"] = int(length[1]) if length else None
    flags["async_scheduling"] = True if "--async-scheduling" in text else None
    flags["enforce_eager"] = True if "--enforce-eager" in text else None
    flags["enable_expert_parallel"] = (
        True if "--enable-expert-parallel" in text or re.search(r"/EP=\d", text) else None
    )
    budget = re.search(r"--max-num-batched-tokens (\d+)", text)
    flags["max_num_batched_tokens"] = int(budget[1]) if budget else None
    flags["performance_mode"] = "throughput" if "--performance-mode=throughput" in text else None
    memory = re.search(r"--gpu-memory-utilization ([\d.]+)", text)
    flags["gpu_memory_utilization"] = float(memory[1]) if memory else None
    drafted = re.search(r"\bmtp (\d)", text)
    if row["speculative"] and drafted:
        method = {"method": "mtp", "num_speculative_tokens": int(drafted[1])}
        flags["speculative_config"] = json.dumps(method)
    fields = {name: row[name] for name in _GIVEN if row.get(name) not in (None, 1, False)}
    if row["id"].startswith(RANDOM_PROMPTS):
        flags |= {"enable_prefix_caching": False}
        flags |= CACHE_SETTINGS.get((row["model"], row["gpu"]), {})
    given: Json = {**sizes, **flags, **fields, **(looked_up(FLAGS, row["id"]) or {})}
    return {name: value for name, value in given.items() if value is not None}


def lengths_of(row: Json) -> Json:
    factor = next((share for source, share in NOMINAL.items() if source in row["source"]), 1.0)
    if "input_len_nominal" in row:
        # The means are given already.
        factor = 1.0
    prompt = row["input_len"]
    if prompt is None:
        prompt = SHORT_PROMPT.get(row["source"])
    generated = row["output_len"]
    return {
        "input_len": prompt and prompt * factor,
        "output_len": generated and generated * factor,
        "lengths": spread_of_lengths(f"{row['quote']} {row.get('notes', '')}"),
    }


def spread_of_lengths(text: str) -> str:
    """How lengths vary: as of conversations, drawn from a range, or not at all."""
    if "ShareGPT" in text:
        return "sampled"
    return "range" if "lengths drawn evenly" in text else "fixed"


def arrival_of(row: Json) -> Json:
    rate, requests, concurrency = row["request_rate"], row["num_prompts"], row["concurrency"]
    rate = float(rate) if rate is not None else None
    case: Json = {"requests": requests}
    if concurrency is None and rate is None and "all prompts at once" in row.get("notes", ""):
        return {**case, "arrival": "burst", "concurrency": requests}
    if concurrency is not None:
        whole_run = requests is not None and requests <= 2 * concurrency and concurrency >= 100
        return {**case, "arrival": "burst" if whole_run else "closed", "concurrency": concurrency}
    if rate is not None and rate >= _AT_ONCE:
        return {**case, "arrival": "burst" if requests else None, "concurrency": requests}
    if rate is not None:
        return {**case, "arrival": "rate", "request_rate": rate}
    return case


def figures_of(row: Json, case: Json) -> tuple[Json, Json]:
    """TTFT, TPOT and output throughput: as printed, or from what was printed."""
    seen: Json = row["observed"]
    found: Json = {}
    derived: Json = {}
    for name in ("ttft", "tpot"):
        value = seen.get(f"{name}_ms", seen.get(f"median_{name}_ms", seen.get(f"mean_{name}_ms")))
        if value is not None:
            found[f"{name}_ms"] = value
    prompt, generated = case.get("input_len"), case.get("output_len")
    worked_out = (row.get("derived") or {}).get("output_tok_per_s")
    if worked_out is not None:
        found["output_tokens_per_s"] = worked_out
        derived["output_tokens_per_s"] = "concurrency × generated tokens / latency"
    elif "output_tok_per_s" in seen:
        found["output_tokens_per_s"] = seen["output_tok_per_s"]
    elif generated and "req_per_s" in seen:
        found["output_tokens_per_s"] = seen["req_per_s"] * generated
        derived["output_tokens_per_s"] = "requests per second × generated tokens"
    elif generated and prompt and "total_tok_per_s" in seen:
        found["output_tokens_per_s"] = seen["total_tok_per_s"] * generated / (prompt + generated)
        derived["output_tokens_per_s"] = "total throughput × share of generated tokens"
    latency = seen.get("latency_s")
    if latency is not None and generated:
        if "output_tokens_per_s" not in found and case.get("arrival") == "closed":
            found["output_tokens_per_s"] = case["concurrency"] * generated / latency
            derived["output_tokens_per_s"] = "concurrency × generated tokens / latency"
        if "tpot_ms" not in found and case.get("arrival") != "burst" and generated > 1:
            rest = latency * 1e3 - found.get("ttft_ms", 0.0)
            found["tpot_ms"] = round(rest / (generated - 1), 3)
            derived["tpot_ms"] = "latency without the first token / later tokens"
    return {name: round(value, 3) for name, value in found.items()}, derived


def statistic_of(row: Json) -> str | None:
    """Whether the time to first token is a median; a mean elsewhere, where it is not said too."""
    seen: Json = row["observed"]
    median = "median_ttft_ms" in seen or "medians of" in row.get("notes", "")
    return "median" if median else None


def is_queueing(case: Json) -> bool:
    """Whether requests wait: all at once, or started together as a batch."""
    return "ttft_ms" in case["observed"] and case.get("arrival") == "burst"


def prefix_hits(row: Json) -> float:
    """Prompt tokens of repeated requests that a harness finds in the prefix cache.

    `vllm bench serve` sends the first of its prompts once before it measures, so one of n
    prompts is cached. Random prompts of one seed share what earlier, shorter runs of the
    series sent.
    """
    if row["source"] not in SHARED_PREFIX or not row["num_prompts"]:
        return 0.0
    earlier = SHARED_PREFIX[row["source"]].get(row["input_len"], 0)
    fresh = (1 - earlier / row["input_len"]) * (1 - 1 / row["num_prompts"])
    return round(1 - fresh, 4)


def unsure(row: Json) -> str | None:
    """Why what a run was started with is not known; None where it is."""
    words, until = LAYOUT_INFERRED
    if words in row.get("notes", "") and row["date"] < until:
        return "its replicas were inferred, and another layout is listed with the same figures"
    return None


def why_excluded(case: Json) -> str | None:
    """Why a run cannot be compared with an estimate; None when it can."""
    version = case.get("version")
    tensor_parallel = case["args"].get("tensor_parallel_size")
    checks = (
        (case.get("engine") is None, "another engine than vLLM, or one that is not named"),
        (
            version is not None and tuple(map(int, version.split("."))) < OLDEST_KNOWN,
            "before vLLM 0.8: the V0 engine, which is not modelled",
        ),
        (case.get("model") is None, "the model is not known or not catalogued"),
        (case.get("gpu") is None, "the GPU is not known"),
        (not case.get("input_len") or not case.get("output_len"), "the lengths are not shown"),
        (case.get("arrival") is None, "the concurrency is not shown"),
        (tensor_parallel is None, "the parallel sizes are not shown"),
        (not case["observed"], "no figure that is compared"),
    )
    return next((reason for failed, reason in checks if failed), None)


def looked_up(table: dict[str, Any], name: str) -> Any:
    """The entry whose key the run's name equals or, ending in *, begins with."""
    if name in table:
        return table[name]
    found = (value for key, value in table.items() if key[-1] == "*" and name.startswith(key[:-1]))
    return next(found, None)


if __name__ == "__main__":
    main()
