"""The picture of an answer as PNG: one GPU's memory, where requests stop fitting, the speed.

Drawn by matplotlib, which comes with the extra `charts` and is imported only here.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight_server.pages.figures import capacity, memory, short_of_cache_gib, speed
from vllm_preflight_server.pages.panels import draw_capacity, draw_curve, draw_memory, write_speed

_WIDTH_IN, _DPI = 8.0, 120
_LONGEST_NAME = 48
# Matplotlib's caches are not made for several threads.
_ONE_AT_A_TIME = threading.Lock()


def draw_png(answer: Mapping[str, Any]) -> bytes | None:
    """A PNG of `answer` (JSON of a plan or a prediction); None when there is nothing to draw.

    Raises:
        InvalidRequest: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InvalidRequest(
            "Charts need matplotlib, which is not installed here.",
            "Ask without chart, or install the server as vllm-preflight[charts].",
        ) from error
    bar, held, pace = memory(answer), capacity(answer), speed(answer)
    if bar is None:
        return None
    short = short_of_cache_gib(answer)
    note = "" if short is None else f"; KV cache: none, {short:,.2f} GiB short of its first byte"
    panels: list[tuple[float, Callable[[Any], None]]] = [
        (2.8, lambda axes: draw_memory(axes, bar, _title(answer), f"GiB of one GPU{note}"))
    ]
    if held:
        panels.append((3.4, lambda axes: draw_capacity(axes, held)))
    if pace and pace.curve:
        panels.append((3.4, lambda axes: draw_curve(axes, pace)))
    if pace:
        panels.append((1.4, lambda axes: write_speed(axes, pace)))
    heights = [height for height, _ in panels]
    with _ONE_AT_A_TIME:
        figure: Any = Figure(figsize=(_WIDTH_IN, sum(heights)), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for (_, draw), place in zip(panels, axes, strict=True):
            draw(place)
        image = io.BytesIO()
        figure.savefig(image, format="png")
    return image.getvalue()


def _title(answer: Mapping[str, Any]) -> str:
    hardware, startup = answer["hardware"], answer["startup"]
    verdict = answer["verdict"]["outcome"].replace("_", " ")
    probability = answer["verdict"].get("start_probability")
    if probability is not None:
        verdict += f", start probability {probability:.0%}"
    # A folder's name may hold letters that the font does not.
    name = answer["model"]["model"].encode("ascii", "replace").decode()
    if len(name) > _LONGEST_NAME:
        name = f"…{name[1 - _LONGEST_NAME :]}"
    where = f"{hardware['gpus']} × {hardware['gpu']}"
    asked = answer.get("feasibility")
    question = ""
    if asked is not None:
        several = "s" * (asked["concurrency"] != 1)
        question = (
            f" for {asked['concurrency']:,} request{several} of {asked['context_tokens']:,} tokens"
        )
    return f"{name}{question}\n{where}: {verdict} (vLLM {startup['vllm_version']})"
