"""The panels of a picture: memory, requests at each length, speed. Axes are matplotlib's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from vllm_preflight_server.pages.figures import Capacity, Mark, Memory, Speed, chart

_INK, _QUIET, _RULE = "#16202b", "#4d5a68", "#ccd4dc"
# A part's figure is written into it from this share of the bar on.
_WIDE = 0.12
# What of a GPU is not vLLM's, or not taken.
_BESIDE_PARTS = ("unused", "outside", "others")
# Values keep off the ends of a logarithmic axis by this ratio.
_BESIDE = 1.05


def draw_memory(axes: Any, bar: Memory, title: str, axis: str) -> None:
    """One GPU's memory as a bar, the budget and the whole marked."""
    missing = bar.missing_gib or 0.0
    whole = max(bar.visible_gib, sum(part.gib for part in bar.parts), bar.reach_gib + missing)
    colours = {part["field"]: part["light"] for part in chart()["parts"]}
    colours |= {key: chart()[key]["light"] for key in _BESIDE_PARTS}
    left = 0.0
    for part in bar.parts:
        axes.barh(
            0,
            part.gib,
            left=left,
            color=colours[part.key],
            edgecolor="white",
            linewidth=0.8,
            label=f"{part.label}  {part.gib:,.2f} GiB",
        )
        if part.gib / whole >= _WIDE:
            axes.text(
                left + part.gib / 2,
                0,
                f"{part.gib:,.2f} GiB",
                ha="center",
                va="center",
                color=_INK if part.key in _BESIDE_PARTS else "white",
                fontsize=9,
            )
        if part.key == "available_kv_cache_gib" and bar.between_gib is not None:
            # The cache is what is left of the budget: its beginning is what is uncertain.
            low, high = (left + part.gib - gib for gib in bar.between_gib)
            label = f"80 % of KV caches: {bar.between_gib[0]:,.2f} to {bar.between_gib[1]:,.2f} GiB"
            axes.plot([high, low], [0, 0], color=_INK, marker="|", linewidth=1.4, label=label)
        left += part.gib
    if missing:
        axes.barh(
            0,
            missing,
            left=bar.reach_gib,
            color="none",
            edgecolor=_INK,
            hatch="///",
            linewidth=1.0,
            label=f"Missing  {missing:,.2f} GiB",
        )
    for at, name, height, style in (
        (bar.visible_gib, "GPU memory", 0.78, "-"),
        (bar.budget_gib, "vLLM's budget", 0.55, "--"),
    ):
        axes.vlines(at, -0.4, height + 0.12, color=_INK, linestyle=style, linewidth=1.4)
        before = at > whole / 2
        axes.text(
            at + whole * (-0.007 if before else 0.007),
            height,
            f"{name} {at:,.2f} GiB",
            ha="right" if before else "left",
            va="center",
            color=_INK,
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
    axes.set(xlim=(0, whole * 1.005), ylim=(-0.45, 0.95), yticks=[])
    # A name is text, whatever dollar signs it holds.
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=_INK, parse_math=False)
    axes.set_xlabel(axis, fontsize=9, color=_QUIET)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=3, frameon=False, fontsize=9)
    _quiet(axes)


def draw_capacity(axes: Any, held: Capacity) -> None:
    """Requests at once over their length, with the plan's own points."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    green = next(p["light"] for p in chart()["parts"] if p["field"] == "available_kv_cache_gib")
    lengths = [tokens for tokens, _ in held.points]
    requests = [number for _, number in held.points]
    numbers = [*requests, *(mark.requests for mark in held.marks)]
    low, high = min(0.8, *numbers) / 1.1, max(2.0, *numbers) * 1.4
    axes.fill_between(lengths, low, requests, color=green, alpha=0.14)
    axes.plot(lengths, requests, color=green, marker="o", markersize=3.5)
    axes.axvline(held.max_model_len, color=_QUIET, linestyle="--", linewidth=1)
    for mark in held.marks:
        hollow = mark.label == "Most with margin"
        axes.plot(
            [mark.tokens],
            [mark.requests],
            linestyle="none",
            marker="o",
            markersize=10 if hollow else 6,
            markerfacecolor="none" if hollow else _INK,
            markeredgecolor=_INK,
            markeredgewidth=1.5,
            label=_mark_text(mark),
        )
    axes.plot(
        [],
        [],
        color=_QUIET,
        linestyle="--",
        linewidth=1,
        label=f"max_model_len {held.max_model_len:,}",
    )
    longest = max(*lengths, held.max_model_len, *(mark.tokens for mark in held.marks))
    shortest = min(*lengths, held.max_model_len, *(mark.tokens for mark in held.marks))
    axes.set(xscale="log", yscale="log", ylim=(low, high), xlim=(shortest, longest * 1.1))
    ticks = [2**power for power in range(6, 25) if shortest <= 2**power <= longest * 1.1]
    axes.xaxis.set_major_locator(FixedLocator(ticks[:: 1 + len(ticks) // 10]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.yaxis.set_major_formatter(FuncFormatter(_number))
    inside = {"transform": axes.transAxes, "color": _QUIET, "fontsize": 9}
    axes.text(0.95, 0.9, "does not fit", ha="right", **inside)
    axes.text(0.02, 0.06, "fits", **inside)
    axes.set_title("Requests that fit at each length", loc="left", fontsize=10, color=_INK)
    axes.set_xlabel("tokens per request", fontsize=9, color=_QUIET)
    axes.set_ylabel("requests at once", fontsize=9, color=_QUIET)
    axes.grid(visible=True, axis="y", color=_RULE, linestyle=":")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3, frameon=False, fontsize=9)
    _quiet(axes)


def draw_curve(axes: Any, pace: Speed) -> None:
    """Seconds per request over tokens per second, with the workload's point."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    outputs = [at.tokens_per_s for at in pace.curve]
    seconds = [at.latency_ms / 1e3 for at in pace.curve]
    asked, now = pace.asked, pace.asked.latency_ms / 1e3
    axes.plot(outputs, seconds, color=chart()["speed"]["light"], marker="o", markersize=3.5)
    axes.plot(pace.between, [now, now], color=_INK, marker="|", label="80 % of cases")
    axes.plot(
        [asked.tokens_per_s],
        [now],
        linestyle="none",
        marker="o",
        color=_INK,
        label=f"This workload: {asked.concurrency:,g} in flight",
    )
    if pace.target_ms is not None:
        wanted = pace.target_ms / 1e3
        axes.axhline(
            wanted, color=_QUIET, linestyle="--", linewidth=1, label=f"target {wanted:g} s"
        )
        seconds.append(wanted)
    for at in pace.curve:
        # The neighbours' labels would lie on the mark's own, or on its interval.
        if at != asked and 0.65 < at.concurrency / asked.concurrency < 1.25:
            continue
        axes.annotate(
            f"{at.concurrency:,g}",
            (at.tokens_per_s, at.latency_ms / 1e3),
            xytext=(-5, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=_INK if at == asked else _QUIET,
            fontweight="bold" if at == asked else "normal",
        )
    across, up = logarithmic_steps([*outputs, *pace.between]), logarithmic_steps(seconds)
    axes.set(xscale="log", yscale="log", xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    for axis, ticks in ((axes.xaxis, across), (axes.yaxis, up)):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(_number))
    title = "Estimated speed (numbers: requests in flight)"
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.set_xlabel("tokens/s of all requests", fontsize=9, color=_QUIET)
    axes.set_ylabel("seconds per request", fontsize=9, color=_QUIET)
    axes.grid(visible=True, axis="y", color=_RULE, linestyle=":")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3, frameon=False, fontsize=9)
    _quiet(axes)


def write_speed(axes: Any, pace: Speed) -> None:
    """The estimates with their intervals, as text."""
    title = f"Estimated speed with {pace.asked.concurrency:,g} in flight"
    # Means; less than one that waits is none.
    if pace.asked.concurrency - pace.running >= 1:
        title += f" ({pace.running:,g} run at once)"
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.set_axis_off()
    for row, estimate in enumerate(pace.estimates):
        height = 1 - (row + 0.5) / len(pace.estimates)
        figure = f"{estimate.value:,g} {estimate.unit}"
        between = f"80 % between {estimate.low:,g} and {estimate.high:,g}"
        for at, side, text, colour in (
            (0.0, "left", estimate.label, _INK),
            (0.48, "right", figure, _INK),
            (0.53, "left", between, _QUIET),
        ):
            axes.text(at, height, text, ha=side, va="center", color=colour, fontsize=9)


def logarithmic_steps(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times powers of ten, from the last before the values to the first after."""
    low, high = min(values) / _BESIDE, max(values) * _BESIDE
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [times * 10.0**power for power in powers for times in (1, 2, 5)]
    first = max(value for value in found if value <= low)
    last = min(value for value in found if value >= high)
    return [value for value in found if first <= value <= last]


def _mark_text(mark: Mark) -> str:
    number = f"{mark.requests:,.0f}" if mark.requests >= 10 else f"{mark.requests:g}"
    return f"{mark.label}: {number} × {mark.tokens:,} tokens"


def _short(tokens: float, _: object) -> str:
    return f"{tokens / 1024:g}k" if tokens >= 1024 else f"{tokens:g}"


def _number(value: float, _: object) -> str:
    return f"{value:,g}"


def _quiet(axes: Any) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_RULE)
    axes.tick_params(colors=_QUIET, labelsize=9, length=3)
