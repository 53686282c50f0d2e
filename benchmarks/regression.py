"""Stored answers to a fixed list of questions: no predicted figure moves unnoticed.

    python benchmarks/regression.py [--check]

Without options the answers are computed, the differences from the stored ones are printed,
and `data/regression.jsonl` is rewritten: look at the differences, and say in CHANGELOG.md
why figures moved. With `--check` nothing is written, and any difference makes the exit
code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment

STORED = Path(__file__).parent / "data" / "regression.jsonl"
Json = dict[str, Any]

# `vllm serve` lines with the GPU they run on: families, precisions, parallelism, arguments.
COMMANDS = (
    ("H100", "vllm serve Qwen/Qwen3-32B -tp 2"),
    ("A100-80GB", "vllm serve Qwen/Qwen3-32B --max-model-len auto"),
    ("L40S", "vllm serve Qwen/Qwen3-8B --kv-cache-dtype fp8 --max-model-len 16k"),
    ("RTX 4090", "vllm serve Qwen/Qwen3-8B --enforce-eager --gpu-memory-utilization 0.95"),
    ("RTX 4090", "vllm serve Qwen/Qwen3-32B -tp 2"),
    ("T4", "vllm serve Qwen/Qwen3-0.6B --dtype half"),
    ("H100", "vllm serve meta-llama/Llama-3.1-8B-Instruct --enable-lora --max-lora-rank 64"),
    ("H100", "vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 4 -pp 2"),
    ("H100", "vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 2 --quantization fp8"),
    ("H200", "vllm serve meta-llama/Llama-3.1-405B-Instruct-FP8 -tp 8"),
    ("H100", "vllm serve meta-llama/Llama-4-Scout-17B-16E-Instruct -tp 8 --max-model-len 131072"),
    ("H100", "vllm serve meta-llama/Llama-3.2-11B-Vision-Instruct --max-num-seqs 16"),
    ("H100", "vllm serve mistralai/Mixtral-8x7B-Instruct-v0.1 -tp 2"),
    ("H100", "vllm serve mistralai/Mistral-Nemo-Instruct-2407 --max-model-len 32768"),
    ("H100", "vllm serve google/gemma-3-27b-it --max-model-len 8192"),
    ("L4", "vllm serve google/gemma-3-4b-it --limit-mm-per-prompt '{\"image\": 0}'"),
    ("H100", "vllm serve google/gemma-2-27b-it"),
    ("H100", "vllm serve google/gemma-4-31B-it -tp 2"),
    ("H200", "vllm serve deepseek-ai/DeepSeek-R1 -tp 8"),
    ("H200", "vllm serve deepseek-ai/DeepSeek-V3.2 -tp 8 --max-model-len 65536"),
    ("B200", "vllm serve deepseek-ai/DeepSeek-V4-Flash -tp 4"),
    ("B200", "vllm serve nvidia/DeepSeek-V3.2-NVFP4 -tp 8"),
    ("A100-80GB", "vllm serve deepseek-ai/DeepSeek-V2-Lite --max-model-len 32768"),
    ("H200", "vllm serve moonshotai/Kimi-K2.5 -tp 8 --enable-expert-parallel"),
    ("H100", "vllm serve moonshotai/Kimi-Linear-48B-A3B-Instruct -tp 2"),
    ("H100", "vllm serve openai/gpt-oss-120b"),
    ("B200", "vllm serve openai/gpt-oss-120b --kv-cache-dtype fp8"),
    ("A100-80GB", "vllm serve openai/gpt-oss-20b"),
    ("H200", "vllm serve Qwen/Qwen3-Next-80B-A3B-Instruct -tp 2"),
    ("H100", "vllm serve Qwen/Qwen3.5-27B -tp 2 --max-num-seqs 128"),
    ("H200", "vllm serve Qwen/Qwen3-235B-A22B-FP8 -tp 4 --enable-expert-parallel"),
    ("B200", "vllm serve nvidia/Qwen3-235B-A22B-NVFP4 -tp 2"),
    ("H100", "vllm serve Qwen/Qwen3-VL-32B-Instruct -tp 2"),
    ("A100-40GB", "vllm serve Qwen/Qwen2.5-VL-7B-Instruct --max-model-len 32768"),
    ("H100", "vllm serve Qwen/Qwen3-Omni-30B-A3B-Instruct -tp 2"),
    ("H200", "vllm serve zai-org/GLM-4.5-FP8 -tp 4"),
    ("B200", "vllm serve nvidia/GLM-5-NVFP4 -tp 8 --max-model-len 131072"),
    ("H100", "vllm serve nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16 -tp 2"),
    ("H100", "vllm serve MiniMaxAI/MiniMax-M2.1 -tp 4"),
    ("H200", "vllm serve MiniMaxAI/MiniMax-Text-01 -tp 8 --max-model-len 65536"),
    ("H100", "vllm serve ai21labs/Jamba-v0.1 -tp 4 --max-num-seqs 64"),
    ("L4", "vllm serve LiquidAI/LFM2-1.2B"),
    ("H100", "vllm serve microsoft/phi-4"),
    ("A100-80GB", "vllm serve CohereLabs/c4ai-command-r-v01 -tp 2 --max-model-len 32768"),
    ("L4", "vllm serve BAAI/bge-m3"),
    ("L4", "vllm serve intfloat/e5-mistral-7b-instruct"),
    ("A10G", "vllm serve TheBloke/Mixtral-8x7B-Instruct-v0.1-AWQ -tp 2 --max-model-len 8192"),
    (
        "H100",
        "vllm serve meta-llama/Llama-3.1-8B-Instruct --speculative-config "
        '\'{"method": "ngram", "num_speculative_tokens": 4}\'',
    ),
    (
        "H100",
        "vllm serve Qwen/Qwen3-8B --speculative-config "
        '\'{"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}\'',
    ),
    (
        "H100",
        "vllm serve meta-llama/Llama-3.1-8B-Instruct --speculative-config "
        '\'{"method": "eagle3", "model": "yuhuili/EAGLE3-LLaMA3.1-Instruct-8B", '
        '"num_speculative_tokens": 3}\'',
    ),
    (
        "H200",
        "vllm serve deepseek-ai/DeepSeek-V4-Flash-0731 -tp 4 --speculative-config "
        '\'{"method": "dspark", "num_speculative_tokens": 5}\'',
    ),
    ("H100", "vllm serve Qwen/Qwen3-8B --kv-cache-memory-bytes 20G"),
    ("H100", "vllm serve Qwen/Qwen3-8B -tp 3"),
)
# The same launch through the releases whose rules differ.
VERSIONS = ("0.8.5", "0.9.2", "0.11.2", "0.14.1", "0.16.0", "0.19.1", "0.21.0", "0.24.0", "0.28.0")
VERSIONED = (
    ("H100", "vllm serve Qwen/Qwen3-32B -tp 2"),
    ("H100", "vllm serve google/gemma-3-27b-it --max-model-len 8192"),
    ("H200", "vllm serve Qwen/Qwen3-Next-80B-A3B-Instruct -tp 4"),
)
PLANS: tuple[Json, ...] = (
    {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16},
    {"model": "Qwen/Qwen3-32B", "gpu": "RTX 4090", "gpus": 1},
    {"model": "Qwen/Qwen3-8B", "gpu": "L40S", "concurrency": 64, "batching_mode": "latency"},
    {"model": "meta-llama/Llama-3.1-70B-Instruct", "gpu": "H100", "concurrency": 32},
    {"model": "deepseek-ai/DeepSeek-R1", "gpu": "H200", "gpus": 8, "concurrency": 64},
    {"model": "deepseek-ai/DeepSeek-R1", "gpu": "H100", "gpus": 16, "nodes": 2},
    {"model": "openai/gpt-oss-120b", "gpu": "H100", "concurrency": 128},
    {"model": "google/gemma-3-27b-it", "gpu": "A100-80GB", "max_model_len": 32768},
    {"model": "Qwen/Qwen3-Next-80B-A3B-Instruct", "gpu": "H200", "overhead_method": "formula"},
    {
        "model": "Qwen/Qwen3-8B",
        "gpu": "H100",
        "gpus": 8,
        "data_parallel_size": 8,
        "concurrency": 512,
    },
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 on any difference")
    check = parser.parse_args().check
    os.environ["HF_HUB_OFFLINE"] = "1"
    before, after = stored_answers(), dict(answers())
    changes = list(differences(before, after))
    print("\n".join(changes) or f"{len(after)} answers, no difference")
    if check:
        return 1 if changes else 0
    lines = [json.dumps({"question": name, "answer": after[name]}) for name in after]
    STORED.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def answers() -> Iterator[tuple[str, Json]]:
    """Every question with its answer, as plain JSON."""
    for gpu, command in COMMANDS:
        yield f"{gpu}: {command}", startup_answer(gpu, command)
    for gpu, command in VERSIONED:
        for version in VERSIONS:
            yield f"{gpu}, {version}: {command}", startup_answer(gpu, command, version)
    for fields in PLANS:
        yield f"plan {json.dumps(fields)}", plan_answer(fields)


def startup_answer(gpu: str, command: str, version: str | None = None) -> Json:
    request = {"gpu": gpu, "command": command, "vllm_version": version}
    try:
        answer = predict_startup(validate_request(StartupRequest, request))
    except PreflightError as error:
        return {"error": error.code, "message": error.message}
    verdict = answer.verdict.to_json_dict()
    return {
        "verdict": verdict,
        "arguments": answer.arguments,
        **answer.startup.concise().to_json_dict(),
    }


def plan_answer(fields: Json) -> Json:
    plan = plan_deployment(validate_request(PlanRequest, fields)).concise().to_json_dict()
    return {
        "verdict": plan["verdict"],
        "feasibility": plan["feasibility"],
        "command": plan["artifacts"].get("serve_command"),
        "startup": plan["startup"],
        "performance": plan.get("performance"),
        "remedies": plan.get("remedies", []),
    }


def stored_answers() -> dict[str, Json]:
    if not STORED.is_file():
        return {}
    rows = [json.loads(line) for line in STORED.read_text(encoding="utf-8").splitlines()]
    return {row["question"]: row["answer"] for row in rows}


def differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    """Questions that are new, gone, or answered otherwise, with each figure that moved."""
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after:
            yield f"{'new' if name in after else 'gone'}: {name}"
            continue
        old, new = flat(before[name]), flat(after[name])
        moved = [key for key in dict.fromkeys((*old, *new)) if old.get(key) != new.get(key)]
        if moved:
            yield name
            yield from (f"  {key}: {old.get(key)} -> {new.get(key)}" for key in moved)


def flat(value: object, name: str = "") -> dict[str, object]:
    """The scalars of an answer by their path in it."""
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    else:
        return {name: value}
    return {
        path: leaf
        for key, item in members
        for path, leaf in flat(item, f"{name}.{key}" if name else str(key)).items()
    }


if __name__ == "__main__":
    sys.exit(main())
