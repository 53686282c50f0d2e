"""How likely a start-up passes vLLM's checks, from the spread of the predicted memory.

Most start-ups lie within the spread that is predicted for them. Some do not: a model, a
kernel or an image of which something is not known here. Their share and their size are
those of start-ups that the fit had not seen (`surprise_*` of `coefficients.json`); errors
that nobody foresees have no largest size, so theirs is a Cauchy distribution.
"""

from __future__ import annotations

import math
from itertools import product
from statistics import NormalDist

from vllm_preflight.memory.runtime.runtime import RuntimeMemory


def start_probability(margin: int, gpu_bytes: int, runtime: RuntimeMemory) -> float:
    """The probability that `margin` bytes beyond what is needed are more than none.

    Where the launch does not say whether a compile cache is found, a first start and a
    later one count as equally likely, and so do the samplers that may be installed.
    `gpu_bytes` is what the GPU has in all, of which a surprise takes a share.
    """
    spread = max(runtime.spread_bytes, 1)
    margins = [
        margin - first + leaner
        for first, leaner in product((0, runtime.first_start_bytes), (0, runtime.leaner_bytes))
    ]
    foreseen = sum(NormalDist().cdf(each / spread) for each in margins) / len(margins)
    size = max(runtime.surprise_size * gpu_bytes, 1.0)
    surprised = sum(0.5 + math.atan(each / size) / math.pi for each in margins) / len(margins)
    return (1 - runtime.surprise_share) * foreseen + runtime.surprise_share * surprised
