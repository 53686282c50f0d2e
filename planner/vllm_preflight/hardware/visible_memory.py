"""How much of a GPU's memory CUDA shows to vLLM.

vLLM takes its share (`gpu_memory_utilization`) of `cudaMemGetInfo`'s total, which is
smaller than NVML's total by what driver and firmware keep. Totals printed by real
start-ups are in `visible_memory.json`; for every other card the rule below stands in.
"""

from __future__ import annotations

from vllm_preflight.base.units import BYTES_TO_MIB

# Least squares over the cards whose NVML total and visible total are both known.
RESERVE_BASE_MIB = 437
RESERVE_PER_THOUSAND = 1.8


def visible_bytes_from_total(nvml_total_mib: int) -> int:
    """Bytes CUDA shows of a card whose NVML total is `nvml_total_mib` MiB.

    visible = total − (437 MiB + 0.0018 × total). Fitted on 17 NVIDIA cards from 11 GiB
    (RTX 2080 Ti) to 278 GiB (GB300): root mean square error 66 MiB, largest 219 MiB
    (A100 80GB, which keeps more); `python scripts/build_gpu_catalog.py --residuals`
    prints each. Under WSL the rule does not apply: there CUDA shows NVML's total.
    """
    reserve_mib = RESERVE_BASE_MIB + RESERVE_PER_THOUSAND * nvml_total_mib / 1000
    return max(0, int((nvml_total_mib - reserve_mib) * BYTES_TO_MIB))
