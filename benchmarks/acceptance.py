"""What is accepted and what is refused, over the catalogue, releases, GPUs and methods.

    python benchmarks/acceptance.py [--check] [--shared ../shared]

Two things are counted. Real launches that started must not be refused: the start-ups of
data/startup_cases.jsonl, the launches of data/oracle_cases.jsonl that vLLM 0.33 planned,
and with --shared the collected logs too. And no launch of the sweep may pass that a fact
of the wheels forbids: the facts are looked up in the tables again, by other code than the
rules. `--check` takes every 20th model and exits 1 when either count is not 0.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.cases import load_cases
from benchmarks.inputs import inputs_of
from benchmarks.oracle_kv import catalogued, launch_of
from benchmarks.oracle_rows import Row, compact_rows, shared_rows

from vllm_preflight.base.errors import PreflightError, UnsupportedArchitecture
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.acceptance.tables import table
from vllm_preflight.launch.launch import Launch, LaunchProblem
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

METHODS = (
    *("auto", "awq", "gptq", "fp8", "nvfp4", "mxfp4", "bitsandbytes", "modelopt"),
    *("compressed-tensors", "fp8_per_block", "nvfp4_per_token", "mxfp8", "int8"),
)
GPUS = ("T4", "Tesla V100 PCIe 32GB", "A100 SXM4 80GB", "H100", "B200", "MI300X", "TPU v6e")
RELEASES = ("0.8.5", "0.11.0", "0.19.0", "0.27.1", "0.33.0")
OUTCOMES = ("accepted", "refused", "not_modelled")
SAMPLE = 20
# What the simulation ran where it had no class for the model; it has no towers.
_NO_CLASS = "TransformersEmbeddingModel"


def outcome_of(problems: tuple[LaunchProblem, ...]) -> str:
    """Accepted, refused or not modelled: what the arguments alone decide."""
    kinds = {problem.kind for problem in problems}
    if kinds - {"not_modelled"}:
        return "refused"
    return "not_modelled" if kinds else "accepted"


def resolve(model: Model, method: str, gpu: Gpu, release: str) -> tuple[str, str]:
    """The outcome of `vllm serve MODEL --quantization METHOD`, and its first reason."""
    request = StartupRequest(model=model.id, quantization=method, vllm_version=release)
    try:
        launch = resolve_launch(
            request,
            model.architecture,
            gpu,
            config=model.config,
            checkpoint_kv_cache_dtype=model.quantization.kv_cache_dtype,
        )
    except UnsupportedArchitecture as error:
        return "not_modelled", error.message
    problems = launch.problems
    return outcome_of(problems), problems[0].message if problems else ""


def forbidden(model: Model, method: str, gpu: Gpu, release: str) -> str | None:
    """A fact of the wheels that speaks against the launch, looked up anew."""
    version = parse_version(release)
    if gpu.vendor != "NVIDIA":
        return "another vendor"
    kernels = [
        entry
        for entry in table("kernels")["history"]
        if parse_version(entry["since"]) <= version or entry is table("kernels")["history"][0]
    ][-1]
    major, minor = gpu.compute_capability or (0, 0)
    if major * 10 + minor < min(kernels["capabilities"]):
        return "no kernels"
    names = model.config.get("architectures") or []
    registry = table("registry")["classes"]
    stems = {name.split("For")[0] for name in names}
    if names and not any(
        _has(spans, version) for name, spans in registry.items() if name.split("For")[0] in stems
    ):
        return "class not in the registry"
    if method != "auto" and model.quantization.method == "none":
        entries = [e for e in table("quantization")["methods"].get(method, ()) if _in(e, version)]
        if not entries:
            return "method not in the release"
        entry = entries[0]
        needs = entry.get("files") or entry.get("needs_config")
        if needs and not entry.get("online") and method != "bitsandbytes":
            return "needs a quantised checkpoint"
        if major * 10 + minor < entry.get("least_capability", 0):
            return "capability"
    return None


def _has(spans: list[Mapping[str, Any]], version: tuple[int, int, int]) -> bool:
    return any(_in(span, version) for span in spans)


def _in(span: Mapping[str, Any], version: tuple[int, int, int]) -> bool:
    last = span.get("until")
    return parse_version(span["since"]) <= version and (
        last is None or version <= parse_version(last)
    )


def sweep(step: int) -> Iterator[tuple[str, str, str, str, str, str | None]]:
    """(model, method, GPU, release, outcome, forbidding fact) of every launch."""
    cards = {name: find_gpu(name) for name in GPUS}
    for identifier in sorted(catalog_ids())[::step]:
        try:
            model = load_model(identifier, source="catalog")
        except PreflightError:
            continue
        for method in METHODS:
            for name, gpu in cards.items():
                for release in RELEASES:
                    found, _ = resolve(model, method, gpu, release)
                    fact = forbidden(model, method, gpu, release) if found == "accepted" else None
                    yield identifier, method, name, release, found, fact


def real_starts() -> Iterator[tuple[str, str | None]]:
    """Start-ups that served: (id, why it is refused or None)."""
    for case in load_cases():
        if not case.starts:
            continue
        try:
            launch: Launch = inputs_of(case).launch
        except (PreflightError, ValueError):
            continue
        yield case.id, launch.problems[0].message if launch.problems else None


def real_plans(rows: Iterable[Row]) -> Iterator[tuple[str, str | None]]:
    """Launches that vLLM 0.33 planned: (model, why it is refused or None)."""
    for row in rows:
        model = catalogued(row["model"])
        another = row.get("architecture") == _NO_CLASS
        if row.get("failed") or isinstance(model, str) or another:
            continue
        try:
            launch = launch_of(row, model)
        except PreflightError as error:
            yield row["model"], str(error)
            continue
        problems = [item for item in launch.problems if not _assumed(item, row, model)]
        yield row["model"], problems[0].message if problems else None


def _assumed(problem: LaunchProblem, row: Row, model: Model) -> bool:
    """Whether the simulation took for granted what a server checks.

    It allowed deprecated methods, had no processor to say how many tokens an image takes, and
    no tokenizer to say that RoBERTa's table of positions is longer than a text may be.
    """
    if "--allow-deprecated-quantization" in problem.remedies:
        return True
    if problem.message.startswith("Chunked MM input disabled"):
        return True
    whole_table = row["max_model_len"] == model.config.get("max_position_embeddings")
    return whole_table and row["max_model_len"] > model.architecture.max_position


def print_table(counts: Counter[tuple[str, str, str, str]]) -> None:
    """Accepted / refused / not modelled by method, release and GPU, over the models."""
    print(f"{'accepted/refused/not modelled':32}" + "".join(f"{gpu[:15]:>17}" for gpu in GPUS))
    for method in METHODS:
        for release in RELEASES:
            cells = [
                "/".join(str(counts[method, gpu, release, kind]) for kind in OUTCOMES)
                for gpu in GPUS
            ]
            print(f"{method:23}{release:9}" + "".join(f"{cell:>17}" for cell in cells))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--shared", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    wrong: list[str] = []
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for model, method, gpu, release, found, fact in sweep(SAMPLE if options.check else 1):
        counts[method, gpu, release, found] += 1
        if fact is not None:
            wrong.append(f"{model} -q {method} on {gpu}, {release}: accepted, but {fact}")
    launches = counts.total()
    spent = time.perf_counter() - started
    print_table(counts)
    print(
        f"{launches:,} launches, {1000 * spent / launches:.2f} ms each; {len(wrong)} pass wrongly"
    )
    rows = shared_rows(options.shared) if options.shared else compact_rows()
    starts, plans = list(real_starts()), list(real_plans(rows))
    refused = [f"{name}: {why}" for name, why in (*starts, *plans) if why is not None]
    print(
        f"of {len(starts)} start-ups that served and {len(plans):,} launches that vLLM planned, "
        f"{len(refused)} are refused"
    )
    for line in [*wrong[:20], *refused[:20]]:
        print(f"  {line}")
    return int(bool(wrong or refused))


if __name__ == "__main__":
    sys.exit(main())
