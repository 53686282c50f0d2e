"""The GPUs of a Ray cluster, from the resources its nodes declare.

Source: Ray documentation, Accelerator Support: a node with GPUs has GPU and
accelerator_type:NAME among its resources.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from vllm_preflight.base.errors import NoGpuDetected, UnknownGpu
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.fleet.nodes import Fleet, FleetNode

_TYPE = "accelerator_type:"
_HINT = "Set RAY_ADDRESS, or name the GPU: gpu=H100, gpus=8."


def read_ray() -> Fleet:
    """The nodes of the Ray cluster that RAY_ADDRESS, or a Ray on this machine, means.

    Raises:
        NoGpuDetected: Ray is not installed or cannot be loaded, or no cluster answers.
    """
    nodes: list[FleetNode] = []
    notes = ["GPUs that running Ray work holds are counted as available."]
    for item in _list_nodes():
        found, note = _read(item)
        nodes += [found] if found else []
        notes += [note] if note else []
    return Fleet("ray", tuple(nodes), tuple(notes))


def _ray() -> Any:
    try:
        # It loads AMD's binding where that is installed, which writes on standard output and
        # fails without AMD's own library.
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module("ray")
    except ImportError as error:
        raise NoGpuDetected(
            "Ray is not installed.", "Install it: pip install 'vllm-preflight[cluster]'."
        ) from error
    except Exception as error:
        sentence = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise NoGpuDetected(
            f"Ray cannot be loaded: {sentence}.",
            "On a machine without AMD's GPUs: pip uninstall amdsmi.",
        ) from error


def _list_nodes() -> Sequence[Mapping[str, Any]]:
    ray = _ray()
    joined = not ray.is_initialized()
    try:
        if joined:
            ray.init(
                address=os.environ.get("RAY_ADDRESS") or "auto",
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        return ray.nodes()
    # Ray raises errors of many modules for a cluster it cannot join.
    except Exception as error:
        sentence = " ".join(str(error).split())[:200]
        raise NoGpuDetected(f"No Ray cluster answers: {sentence}.", _HINT) from error
    finally:
        if joined:
            ray.shutdown()


def _read(item: Mapping[str, Any]) -> tuple[FleetNode | None, str | None]:
    """The node where its GPUs can be planned for, else the sentence why not."""
    resources: Mapping[str, float] = item.get("Resources") or {}
    gpus = int(resources.get("GPU", 0))
    if not item.get("Alive") or gpus == 0:
        return None, None
    name = str(item.get("NodeManagerHostname") or item.get("NodeID"))
    types = [key.removeprefix(_TYPE) for key in resources if key.startswith(_TYPE)]
    # The longest says the most: A100-80G beside A100.
    reported = max(types, key=len, default="")
    if not reported:
        return None, f"Ray node {name} does not say which GPU it has (no {_TYPE}…)."
    try:
        return FleetNode(name, find_gpu(reported), gpus, reported), None
    except UnknownGpu as error:
        return None, f"Ray node {name} has {reported}: {error.message}"
