"""The catalogue of GPUs: facts with sources, found by the names people use."""

from __future__ import annotations

from vllm_preflight.hardware.cards import gpus_with_nvml_name, nearest_gpus
from vllm_preflight.hardware.facts import gpu_names, load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.spoken import read_hardware_name

__all__ = ["find_gpu", "gpu_names", "gpus_with_nvml_name", "load_catalog", "nearest_gpus"]


def find_gpu(name: str) -> Gpu:
    """The GPU meant by `name`, in every form that names one: a card, an instance type, ….

    How many of them the name says is left to `spoken.read_hardware_name`.

    Raises:
        UnknownGpu: no such card, or several that differ in memory; the hint names them.
    """
    return read_hardware_name(name).gpu
