"""Views of the catalogues: what resources show, and what completions offer."""

from __future__ import annotations

from typing import Any

from vllm_preflight.base.errors import UnknownModel
from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.inspect import InspectRequest
from vllm_preflight.hardware.catalog import find_gpu, gpu_names, load_catalog, nearest_gpus
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.models.catalog.entries import catalog_entry, catalog_ids, nearest_ids

# MCP allows no more values in one completion.
MOST_COMPLETIONS = 100


def gpu_index() -> dict[str, Any]:
    """Every GPU of the catalogue with what tells one from another, in GiB and GB/s."""
    return {"count": len(gpu_names()), "gpus": [_gpu_line(gpu) for gpu in load_catalog()]}


def gpu_facts(name: str) -> dict[str, Any]:
    """All facts of the GPU meant by `name`, each with its source; raises UnknownGpu."""
    gpu = find_gpu(name)
    facts = {
        **_gpu_line(gpu),
        "visible_basis": gpu.visible_basis,
        "vram_mib": gpu.vram_mib,
        "dense_tflops": dict(gpu.dense_tflops),
        "nvlink_gb_s": gpu.nvlink_gb_s,
        "pcie_gen": gpu.pcie_gen,
        "unified_memory": gpu.unified or None,
        "node_size": gpu.node_size,
        "nvml_names": list(gpu.nvml_names),
        "sources": dict(gpu.sources),
    }
    return {key: value for key, value in facts.items() if value not in (None, [], {})}


def model_index() -> dict[str, Any]:
    """The ids of all models of the catalogue; the facts of one are a resource of its own."""
    return {"count": len(catalog_ids()), "models": list(catalog_ids())}


def model_facts(model: str) -> dict[str, Any]:
    """What a model of the catalogue is made of; no folder and no network is looked at.

    Raises:
        PreflightError: no such model in the catalogue, or one that is not understood.
    """
    entry = catalog_entry(model)
    if entry is None:
        near = ", ".join(nearest_ids(model))
        raise UnknownModel(
            f"The catalogue has no model {model[:80]!a}.",
            f"Nearest: {near}." if near else "inspect_model reads other models from the Hub.",
        )
    # The engine is loaded by the first question, not by the start of the server.
    from vllm_preflight.models.sources import load_model
    from vllm_preflight.reports.model import inspect_model

    loaded = load_model(entry.id, source="catalog")
    return inspect_model(InspectRequest(model=entry.id), model=loaded).to_json_dict()


def complete_gpu(text: str) -> list[str]:
    """GPU names for what a user has begun to type; all of them for nothing."""
    if not text.strip():
        return list(gpu_names())
    return _matching(text, gpu_names()) or list(nearest_gpus(text, 5))


def complete_model(text: str) -> list[str]:
    """Catalogue ids for what a user has begun to type: beginnings, then parts, then likes."""
    return _matching(text, catalog_ids()) or list(nearest_ids(text, 5))


def _matching(text: str, names: tuple[str, ...]) -> list[str]:
    wanted = text.strip().lower()
    found = [name for name in names if wanted in name.lower()]
    # A stable sort keeps the catalogue's order among names that begin alike.
    return sorted(found, key=lambda name: not name.lower().startswith(wanted))


def _gpu_line(gpu: Gpu) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": gpu.name,
        "vendor": gpu.vendor,
        "visible_gib": round(bytes_to_gib(gpu.visible_bytes), 2),
        "memory_bandwidth_gb_s": gpu.memory_bandwidth_gb_s,
    }
    if gpu.compute_capability is not None:
        line["compute_capability"] = ".".join(map(str, gpu.compute_capability))
    return {key: value for key, value in line.items() if value is not None}
