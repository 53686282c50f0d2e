"""Write the measured kernels behind estimated speed.

    python scripts/build_kernel_facts.py aiconfigurator_core-0.12.0-*.whl --date 2026-11-28

Reads the tables of timed vLLM kernels in the wheel `aiconfigurator-core` 0.12.0
(Apache-2.0; `pip download --no-deps aiconfigurator-core==0.12.0`) and writes
`planner/vllm_preflight/performance/kernels/kernels.json`: for each GPU, operation and
number format a small roofline, and the time of an all-reduce by size. Needs numpy and
pyarrow, which nothing else here does. A second run gives the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.kernel_fits import Fitted, Timed, fit  # noqa: E402

from vllm_preflight.hardware.catalog import find_gpu  # noqa: E402
from vllm_preflight.performance.machine import Link, Machine, machine_of  # noqa: E402

TARGET = ROOT / "planner/vllm_preflight/performance/kernels/kernels.json"
DATA = "aiconfigurator_core/systems/data"
SOURCE = "https://pypi.org/project/aiconfigurator-core/0.12.0/"
# The wheel's systems and the catalogue's cards they were measured on.
SYSTEMS = {
    "a100_sxm": "A100 SXM4 80GB",
    "h100_sxm": "H100 SXM5 80GB",
    "h200_sxm": "H200 SXM 141GB",
    "b200_sxm": "B200 SXM 180GB",
    "b300_sxm": "B300 SXM 288GB",
    "gb200": "GB200",
    "gb300": "GB300",
    "l40s": "L40S",
    "rtx_pro_6000_server": "RTX PRO 6000 Blackwell Server",
}
SIZES = [2**power for power in range(10, 30, 2)]
# Bytes of a weight and of an activation, and the rate that counts, by the tables' types.
FORMATS = {
    "bfloat16": (2.0, 2.0, "flops16"),
    "fp8": (1.0, 1.0, "flops8"),
    "fp8_block": (1.0, 1.0, "flops8"),
    "nvfp4": (0.5625, 0.5625, "flops4"),
    "int4_wo": (0.5625, 2.0, "flops16"),
    "w4a16_mxfp4": (0.53125, 2.0, "flops16"),
    "w4a8_mxfp4_mxfp8": (0.53125, 1.0, "flops8"),
}
CACHES = {"bfloat16": ("16", 2.0), "fp8": ("fp8", 1.0)}
# Block FP8 was timed eagerly: below this many times its least time a row is launching.
_EAGER = 3.0
# A type whose share of bandwidth is below this part of its sibling's is not what is served.
_SIBLING = 0.5
# Formats whose kernels only expand weights are the same in all releases: one that is far
# slower in an older table was timed with settings nobody serves.
_EXPANDING = frozenset({"int4_wo", "w4a16_mxfp4"})
# Releases beside the newest whose experts are kept: kernels changed between them.
_EXPERTS_OF = ("0.19.0",)
# Latent attention of the tables (DeepSeek V3) and the projections inside its module.
_LATENT, _ROTARY, _NOPE, _HIDDEN, _Q_RANK = 512, 64, 128, 7168, 1536
# Experts without a gate have two matrices; the table does not say which they are.
_WITHOUT_GATE = (1856, 2688)
_STATE_BYTES = 4.0


class Tables:
    """The wheel's parquet files."""

    def __init__(self, wheel: Path) -> None:
        self._archive = zipfile.ZipFile(wheel)
        self._names = sorted(self._archive.namelist())

    def releases(self, system: str, folder: str, name: str) -> list[str]:
        """The vLLM releases a table was measured with, the oldest first."""
        start, end = f"{DATA}/{system}/{folder}/", f"/{name}_perf.parquet"
        found = [
            n[len(start) : -len(end)]
            for n in self._names
            if n.startswith(start) and n.endswith(end)
        ]
        return sorted(found, key=_numbers)

    def read(self, system: str, folder: str, name: str, release: str) -> dict[str, Any]:
        """One table as columns."""
        raw = self._archive.read(f"{DATA}/{system}/{folder}/{release}/{name}_perf.parquet")
        table = parquet.read_table(io.BytesIO(raw), use_threads=False)
        return {name: np.array(table[name].to_pylist()) for name in table.column_names}


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("/")[-1].split(".") if part.isdigit())


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the kernels of aiconfigurator-core.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--date", required=True, help="day of the wheel's reading (ISO 8601)")
    arguments = parser.parse_args()
    tables = Tables(arguments.wheel)
    systems = {gpu: system_of(tables, system, gpu) for system, gpu in SYSTEMS.items()}
    text = document(systems, arguments.date)
    TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.name}: {len(text):,} bytes")


def system_of(tables: Tables, system: str, gpu: str) -> dict[str, Any]:
    """Every kernel of one GPU: [operation, format, release, numbers …], and all-reduces."""
    machine = machine_of(find_gpu(gpu), Link("none", 0.0), Link("none", 0.0))
    kernels: list[list[Any]] = []
    gemms: dict[str, Fitted] = {}
    for found in (
        _gemms(tables, system, machine, gemms),
        _experts(tables, system, machine),
        _attention(tables, system, machine),
        _latent(tables, system, machine, gemms),
        _states(tables, system, machine),
    ):
        for operation, kind, release, kernel in found:
            kernels.append([operation, kind, release, *_written(kernel)])
            print(f"{gpu:30} {operation:13} {kind:18} {release:7} {kernel}", flush=True)
    return {"kernels": kernels, "reduce": _reduces(tables, system)}


def _written(kernel: Fitted) -> list[float | int]:
    numbers = (
        kernel.floor * 1e6,
        kernel.memory,
        kernel.compute,
        kernel.sharpness,
        kernel.alike,
        kernel.per_token * 1e12,
    )
    errors = (round(kernel.error, 3), round(kernel.error90, 3), kernel.rows)
    return [*(float(f"{number:.4g}") for number in numbers), *errors]


Found = Iterator[tuple[str, str, str, Fitted]]


def _gemms(tables: Tables, system: str, machine: Machine, found: dict[str, Fitted]) -> Found:
    release = tables.releases(system, "gemm/vllm", "gemm")[-1]
    rows = tables.read(system, "gemm/vllm", "gemm", release)
    for kind in ("bfloat16", "fp8", "fp8_block", "nvfp4"):
        kept = (
            (rows["gemm_dtype"] == kind)
            & (rows["n"] >= 256)
            & (rows["k"] >= 256)
            & (rows["n"] < 65536)
            & (rows["m"] <= 16384)
            # Batches are padded to the sizes of captured graphs; odd ones are not run.
            & ((rows["m"] <= 4) | (rows["m"] % 8 == 0))
        )
        if not kept.any():
            continue
        m, n, k, seconds = _columns(rows, kept, "m", "n", "k", "latency")
        floor = None
        if kind == "fp8_block":
            floor = found["fp8"].floor
            # Rows of launching only are left out.
            clear = seconds > _EAGER * np.quantile(seconds, 0.05)
            m, n, k, seconds = m[clear], n[clear], k[clear], seconds[clear]
        weight, activation, rate = FORMATS[kind]
        timed = Timed(
            moved=n * k * weight + m * k * activation + m * n * 2,
            flops=2 * m * n * k,
            seconds=seconds / 1e3,
            bandwidth=machine.bandwidth,
            rate=getattr(machine, rate),
            batch=m,
        )
        found[kind] = fit(timed, floor=floor)
        if kind == "fp8_block" and found[kind].memory < _SIBLING * found["fp8"].memory:
            found[kind] = replace(
                found[kind], memory=found["fp8"].memory, sharpness=found["fp8"].sharpness
            )
        yield "gemm", kind, release, found[kind]


def _experts(tables: Tables, system: str, machine: Machine) -> Found:
    releases = tables.releases(system, "moe/vllm", "moe")
    newest: dict[str, Fitted] = {}
    for release in reversed([r for r in releases if r in _EXPERTS_OF or r == releases[-1]]):
        rows = tables.read(system, "moe/vllm", "moe", release)
        kernels: dict[str, Fitted] = {}
        for kind, (weight, activation, rate) in FORMATS.items():
            kept = (
                (rows["moe_dtype"] == kind)
                & (rows["moe_ep_size"] == 1)
                & (rows["distribution"] != "balanced")
                & (rows["num_experts"] >= 8)
                & (rows["num_tokens"] <= 16384)
                & ~np.isin(rows["inter_size"], _WITHOUT_GATE)
            )
            if kept.sum() < 50:
                continue
            names = (
                "num_tokens",
                "hidden_size",
                "inter_size",
                "topk",
                "num_experts",
                "moe_tp_size",
            )
            tokens, hidden, inter, topk, experts, ranks, ms = _columns(
                rows, kept, *names, "latency"
            )
            matrices = 3 * hidden * inter / ranks
            kernels[kind] = fit(
                Timed(
                    moved=tokens * topk * hidden * (activation + 2),
                    flops=2 * matrices * tokens * topk,
                    seconds=ms / 1e3,
                    bandwidth=machine.bandwidth,
                    rate=getattr(machine, rate),
                    weights=(matrices * weight, experts, topk / experts, tokens),
                    batch=tokens,
                )
            )
        block, tensor = kernels.get("fp8_block"), kernels.get("fp8")
        if block and tensor and tensor.memory < _SIBLING * block.memory:
            kernels["fp8"] = block
        for kind, kernel in kernels.items():
            known = newest.setdefault(kind, kernel)
            if kind in _EXPANDING and kernel.memory < _SIBLING * known.memory:
                continue
            yield "experts", kind, release, kernel


def _attention(tables: Tables, system: str, machine: Machine) -> Found:
    for operation, name in (("decode", "generation"), ("prefill", "context")):
        table = f"{name}_attention"
        release = tables.releases(system, "attention/vllm", table)[-1]
        rows = tables.read(system, "attention/vllm", table, release)
        for dtype, (kind, width) in CACHES.items():
            kept = (
                (rows["kv_cache_dtype"] == dtype)
                & (rows["head_dim"] <= 256)
                & (rows["batch_size"] <= 1024)
                & (rows["isl"] + rows["step"] <= 65536)
            )
            if "window_size" in rows:
                kept &= rows["window_size"] == 0
            if operation == "prefill":
                kept &= rows["isl"] >= 64
            else:
                # Caches of grouped heads and of more than a few tokens, as are served.
                kept &= (rows["num_key_value_heads"] <= 8) & (rows["step"] >= 100)
            if kept.sum() < 50:
                continue
            names = ("batch_size", "isl", "step", "num_heads", "num_key_value_heads", "head_dim")
            batch, length, step, heads, kv, size, ms = _columns(rows, kept, *names, "latency")
            if operation == "decode":
                keys = step + 1
                moved = batch * keys * kv * size * 2 * width
                flops, context = 4 * batch * heads * size * keys, keys
            else:
                moved = batch * length * size * (2 * heads * 2 + 2 * kv * width)
                flops, context = 2 * batch * heads * size * length**2, None
            yield (
                operation,
                kind,
                release,
                fit(
                    Timed(
                        moved=moved,
                        flops=flops,
                        seconds=ms / 1e3,
                        bandwidth=machine.bandwidth,
                        rate=machine.flops16,
                        context=context,
                    )
                ),
            )


def _latent(tables: Tables, system: str, machine: Machine, gemms: dict[str, Fitted]) -> Found:
    """Latent attention without the projections that its module was timed with."""
    for operation, name in (("mla_decode", "generation"), ("mla_prefill", "context")):
        table = f"mla_{name}_module"
        releases = tables.releases(system, "mla/vllm", table)
        if not releases:
            continue
        rows = tables.read(system, "mla/vllm", table, releases[-1])
        for dtype, (kind, width) in CACHES.items():
            kept = (
                (rows["kv_cache_dtype"] == dtype)
                & (rows["gemm_type"] == "bfloat16")
                & (rows["batch_size"] * rows["isl"] <= 65536)
            )
            if operation == "mla_prefill":
                kept &= (rows["isl"] >= 64) & (rows["step"] == 0)
            if kept.sum() < 50:
                continue
            names = ("batch_size", "isl", "step", "num_heads")
            batch, length, step, heads, ms = _columns(rows, kept, *names, "latency")
            tokens = batch * length
            keys = step + 1 if operation == "mla_decode" else length / 2
            if operation == "mla_decode":
                moved = batch * keys * (_LATENT + _ROTARY) * width
                flops = 2 * batch * heads * keys * (2 * _LATENT + _ROTARY)
            else:
                moved = tokens * heads * (2 * _NOPE + _ROTARY) * 4.0
                flops = 2 * tokens * heads * keys * (2 * _NOPE + _ROTARY)
            timed = Timed(
                moved=moved,
                flops=flops,
                seconds=ms / 1e3,
                bandwidth=machine.bandwidth,
                rate=machine.flops16,
                apart=_projections(tokens, heads, machine, gemms["bfloat16"]),
            )
            yield operation, kind, releases[-1], fit(timed)


def _projections(tokens: Any, heads: Any, machine: Machine, gemm: Fitted) -> Any:
    """Seconds of the matrices around latent attention of DeepSeek V3, in 16 bit."""
    total: Any = 0.0
    shapes = (
        (_Q_RANK + _LATENT + _ROTARY, _HIDDEN),
        (heads * (_NOPE + _ROTARY), _Q_RANK),
        (heads * 2 * _NOPE, _LATENT),
        (_HIDDEN, heads * _NOPE),
    )
    for n, k in shapes:
        moved = 2 * (n * k + tokens * (n + k))
        read = moved / (machine.bandwidth * gemm.memory)
        done = 2 * tokens * n * k / (machine.flops16 * gemm.compute)
        p = gemm.sharpness
        total = total + gemm.floor + (read**p + done**p) ** (1 / p)
    return total


def _states(tables: Tables, system: str, machine: Machine) -> Found:
    """Gated delta rules: the convolution and the rule together."""
    releases = tables.releases(system, "linear_attention/vllm", "gdn")
    if not releases:
        return
    rows = tables.read(system, "linear_attention/vllm", "gdn", releases[-1])
    conv = np.char.startswith(rows["kernel_source"].astype(str), "causal_conv1d")
    key_names = ("phase", "batch_size", "seq_len", "num_k_heads", "num_v_heads", "head_v_dim")
    keys = [tuple(row) for row in zip(*(rows[name].tolist() for name in key_names), strict=True)]
    convolved = {
        key: ms for key, ms, is_conv in zip(keys, rows["latency"], conv, strict=True) if is_conv
    }
    for operation, phase in (("state_decode", "generation"), ("state_prefill", "context")):
        whole: dict[tuple[Any, ...], float] = {}
        for key, ms, is_conv in zip(keys, rows["latency"], conv, strict=True):
            if key[0] == phase and not is_conv and key in convolved and key[1] * key[2] <= 65536:
                whole[key] = float(ms + convolved[key])
        ordered = sorted(whole)
        batch, length, k_heads, heads, size = (
            np.array([key[i] for key in ordered], dtype=float) for i in range(1, 6)
        )
        tokens, state = batch * length, heads * size * 128
        moved = 2 * batch * state * _STATE_BYTES
        if operation == "state_prefill":
            moved = moved + tokens * (2 * k_heads + heads) * 128 * 4.0
        timed = Timed(
            moved=moved,
            flops=6 * tokens * state,
            seconds=np.array([whole[key] for key in ordered]) / 1e3,
            bandwidth=machine.bandwidth,
            rate=machine.flops16,
        )
        yield operation, "16", releases[-1], fit(timed)


def _reduces(tables: Tables, system: str) -> dict[str, list[float]]:
    """Microseconds of an all-reduce of `SIZES` by ranks: the faster of custom and NCCL."""
    found: dict[int, dict[int, float]] = {}
    custom = tables.releases(system, "comm/vllm", "custom_allreduce")
    sources = [("comm/vllm", "custom_allreduce", custom[-1])]
    if nccl := tables.releases(system, "comm/nccl", "nccl"):
        sources.append(("comm/nccl", "nccl", nccl[-1]))
    for folder, name, release in sources:
        rows = tables.read(system, folder, name, release)
        kept = rows["op_name"] == "all_reduce"
        if "backend" in rows:
            kept &= rows["backend"] == "vllm_graph"
        else:
            kept &= rows["nccl_dtype"] == "half"
        for ranks, size, ms in zip(
            rows["num_gpus"][kept], rows["message_size"][kept], rows["latency"][kept], strict=True
        ):
            of_ranks = found.setdefault(int(ranks), {})
            of_ranks[int(size)] = min(of_ranks.get(int(size), np.inf), float(ms) * 1e3)
    result: dict[str, list[float]] = {}
    for ranks, by_size in sorted(found.items()):
        sizes = sorted(by_size)
        times = np.interp(np.log(SIZES), np.log(sizes), np.log([by_size[size] for size in sizes]))
        # A larger message never takes less time.
        result[str(ranks)] = [float(f"{v:.4g}") for v in np.maximum.accumulate(np.exp(times))]
    return result


def _columns(rows: dict[str, Any], kept: Any, *names: str) -> list[Any]:
    return [rows[name][kept].astype(float) for name in names]


def document(systems: dict[str, Any], date: str) -> str:
    """The text of `kernels.json`, one kernel a line."""
    head = {
        "schema": 1,
        "date": date,
        "source": SOURCE,
        "license": "Fitted from tables of aiconfigurator-core 0.12.0, Copyright (c) 2025-2026 "
        "NVIDIA CORPORATION & AFFILIATES, Apache-2.0",
        "description": "Written by scripts/build_kernel_facts.py. A kernel takes floor + "
        "((bytes / (bandwidth * memory))^p + (FLOPs / (rate * compute))^p)^(1/p); memory and "
        "compute are shares of the catalogue's data sheet.",
        "columns": [
            "operation",
            "format",
            "vLLM release",
            "floor_us",
            "memory",
            "compute",
            "p",
            "alike (experts: how independently tokens choose)",
            "us per million tokens of context (decode)",
            "median error",
            "90 % error",
            "rows",
        ],
        "reduce_bytes": SIZES,
    }
    lines = [
        f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},"
        for name, value in head.items()
    ]
    blocks: list[str] = []
    for gpu, facts in systems.items():
        kernels = ",\n".join(f"   {json.dumps(kernel)}" for kernel in facts["kernels"])
        reduces = ",\n".join(
            f"   {json.dumps(n)}: {json.dumps(v)}" for n, v in facts["reduce"].items()
        )
        blocks.append(
            f'  {json.dumps(gpu)}: {{\n   "kernels": [\n{kernels}\n   ],\n'
            f'   "reduce_us": {{\n{reduces}\n   }}\n  }}'
        )
    return "{\n" + "\n".join(lines) + '\n "gpus": {\n' + ",\n".join(blocks) + "\n }\n}\n"


if __name__ == "__main__":
    main()
