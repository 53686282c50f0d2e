"""Answers for people: tables and a memory bar in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vllm_preflight.base.text import clean
from vllm_preflight.contract.text import scalar

Answer = Mapping[str, Any]


_BAR_WIDTH = 64

_WORDS = {
    "carries": "carries the workload",
    "queues": "starts, some requests wait",
    "starts": "starts",
    "borderline": "may or may not start",
    "does_not_start": "does not start",
    "refused": "refused by vLLM",
    "not_modelled": "not modelled",
}
# What a part of the bar looks like: its letter when piped, its colour in a terminal.
_PARTS = {
    "weights": ("W", "blue"),
    "kv_cache": ("K", "green"),
    "overhead": ("O", "magenta"),
    "others": ("x", "yellow"),
    "free": (".", "bright_black"),
}


class _Console(Console):
    """A console that leaves a closed pipe to its caller, who knows the exit code."""

    def on_broken_pipe(self) -> None:
        """Raise what rich would turn into exit code 1."""
        raise BrokenPipeError


def open_console() -> Console:
    """A console for standard output, without colours and width in a pipe."""
    if sys.stdout.isatty():
        return _Console(highlight=False, markup=False, emoji=False)
    # A pipe has no width; lines are cut by whoever reads them.
    return _Console(highlight=False, markup=False, emoji=False, no_color=True, width=300)


def print_title(console: Console, good: bool, text: str) -> None:
    """The verdict, green or red."""
    console.print(Text(clean(text), style="bold green" if good else "bold red"), soft_wrap=True)


def print_line(console: Console, text: str, style: str = "") -> None:
    """One line, never wrapped."""
    # Whole lines: a command must survive copying, whatever the terminal's width.
    console.print(Text(clean(text), style=style), soft_wrap=True)


def print_section(console: Console, title: str, lines: Sequence[str]) -> None:
    """A heading with its lines; nothing without lines."""
    if lines:
        console.print()
        print_line(console, f"{title}:", "bold")
        for line in lines:
            print_line(console, f"  {line}")


def print_tail(console: Console, answer: Answer) -> None:
    """Warnings, next steps and terms: how every answer ends."""
    warnings = [*answer.get("warnings", []), *answer.get("feasibility", {}).get("warnings", [])]
    for section in ("startup", "performance", "pooling"):
        warnings += answer.get(section, {}).get("warnings", [])
    print_section(console, "Warnings", list(dict.fromkeys(warnings)))
    shown = [remedy["change"] for remedy in answer.get("remedies", [])]
    steps = [step for step in answer.get("next_steps", []) if not _is_shown(step, shown)]
    print_section(console, "Next", steps)
    terms = [*answer.get("terms", []), *answer.get("startup", {}).get("terms", [])]
    terms += answer.get("performance", {}).get("terms", [])
    print_section(console, "Terms", [_term(term) for term in terms])


def _is_shown(step: str, changes: Sequence[str]) -> bool:
    """Whether a step only says the change that is shown with its command."""
    return any(step.startswith((f"{change}: ", f"Start with {change}.")) for change in changes)


def _term(term: Answer) -> str:
    figure = f"{term['gib']:.3f} GiB" if "gib" in term else scalar(term.get("value", ""))
    unit = f" {term['unit']}" if "unit" in term else ""
    return f"{term['name']} = {figure}{unit}: {term['formula']} [{term['basis']}; {term['source']}]"


def print_speed(console: Console, speed: Answer) -> None:
    """What requests see, with the 80 % interval of each figure."""
    flight = requests_text(round(speed["concurrency"]))
    lengths = f"{speed['prompt_tokens']:,} + {speed['gen_tokens']:,} tokens"
    print_line(console, f"Estimated speed, {flight} of {lengths} in flight:", "bold")
    table = Table.grid(padding=(0, 2))
    for label, name, unit in (
        ("first token after", "ttft_ms", "ms"),
        ("then a token every", "tpot_ms", "ms"),
        ("output, all requests", "output_tokens_per_s", "tokens/s"),
    ):
        low, high = speed["interval"][name]
        table.add_row(
            f"  {label}", f"{speed[name]:,g} {unit}", f"80 % between {low:,g} and {high:,g}"
        )
    console.print(table)
    target = speed.get("target")
    if target is not None:
        reached = "reached" if target["reached"] else "missed"
        most = target.get("max_concurrency")
        bound = "not even by one request" if most is None else f"held up to {requests_text(most)}"
        print_line(
            console,
            f"  a whole request takes {speed['latency_ms']:,g} ms: target "
            f"{target['latency_ms']:,g} ms {reached}, {bound}",
        )
    _print_load(console, speed)


def print_texts(console: Console, texts: Answer) -> None:
    """What a model that pools reads, with the interval of each figure."""
    flight = round(texts["concurrency"])
    such = f"{flight:,} text{'s' * (flight != 1)} of {texts['prompt_tokens']:,} tokens"
    print_line(console, f"Estimated speed, {such} in flight:", "bold")
    table = Table.grid(padding=(0, 2))
    for label, name, unit in (
        ("texts answered", "texts_per_s", "per second"),
        ("a text takes", "latency_ms", "ms"),
    ):
        low, high = texts["interval"][name]
        table.add_row(
            f"  {label}", f"{texts[name]:,g} {unit}", f"80 % between {low:,g} and {high:,g}"
        )
    console.print(table)


def _print_load(console: Console, speed: Answer) -> None:
    """What single requests see, what is served in time, and what a benchmark would print."""
    if (goodput := speed.get("goodput")) is not None:
        share = f" of {goodput['percentile']} % of requests" if "percentile" in goodput else ""
        reached = "reached" if goodput["reached"] else "missed"
        most = goodput.get("max_requests_per_s")
        bound = "not even by one request" if most is None else f"held up to {most:g} requests/s"
        print_line(console, f"  targets{share} {reached}, {bound}")
    if (tails := speed.get("tails")) is not None:
        _print_tails(console, "arriving by chance", tails)
    if (run := speed.get("benchmark")) is not None:
        print_line(
            console,
            f"  a benchmark of {run['waves']:g} waves prints: first token {run['ttft_ms']:,g} ms, "
            f"then {run['tpot_ms']:,g} ms, output {run['output_tokens_per_s']:,g} tokens/s",
        )
    if (simulation := speed.get("simulation")) is not None:
        title = f"{simulation['requests']:,} simulated, seed {simulation['seed']}"
        _print_tails(console, title, simulation["tails"])


def _print_tails(console: Console, title: str, tails: Answer) -> None:
    print_line(console, f"  {title}: p50, p95 and p99 in ms")
    table = Table.grid(padding=(0, 2))
    for label, name in (
        ("first token", "ttft_ms"),
        ("each later token", "tpot_ms"),
        ("whole request", "latency_ms"),
    ):
        found = tails[name]
        table.add_row(f"    {label}", *(f"{found[share]:,g}" for share in ("p50", "p95", "p99")))
    console.print(table)


def print_verdict(console: Console, answer: Answer, name: str) -> None:
    """The verdict: its word in the title, its sentence and the figures behind it."""
    verdict = answer["verdict"]
    good = verdict["outcome"] in ("carries", "queues", "starts")
    word = _WORDS[verdict["outcome"]]
    startup = answer.get("startup", {})
    version = f" with vLLM {startup['vllm_version']}" if startup else ""
    where = f" on {hardware_text(answer['hardware'])}" if "hardware" in answer else ""
    print_title(console, good, f"{name}{where}{version}: {word}")
    probability = verdict.get("start_probability")
    told = "" if probability is None else f" (start probability {probability:.0%})"
    print_line(console, f"{verdict['sentence']}{told}")
    if "because" in verdict:
        print_line(console, verdict["because"])


def print_memory(console: Console, answer: Answer) -> None:
    """One GPU's memory as vLLM accounts for it, and the cache that comes out."""
    startup = answer["startup"]
    if "available_kv_cache_gib" not in startup:
        if "weights_gib" in startup:
            print_line(
                console,
                f"weights {startup['weights_gib']:,.2f} GiB per GPU; KV cache "
                f"{startup['kv_bytes_per_token']:,} bytes per token and GPU",
            )
        return
    visible = answer["hardware"]["visible_gib_per_gpu"]
    outside = startup["cuda_graph_gib"]
    charged = startup.get("cuda_graph_charged")
    # An encoder keeps nothing between requests.
    caches = "kv_cache_tokens" in startup
    parts = {
        "weights": startup["weights_gib"],
        "overhead": startup["activation_peak_gib"]
        + startup["non_torch_gib"]
        + (outside if charged else 0),
        "kv_cache" if caches else "free": max(0.0, startup["available_kv_cache_gib"]),
    }
    budget = sum(parts.values()) + min(0.0, startup["available_kv_cache_gib"])
    free = answer["hardware"].get("free_gib_per_gpu")
    others = 0.0 if free is None else visible - free
    console.print()
    print_bar(console, parts, visible, budget, others)
    available = startup["available_kv_cache_gib"]
    between = _between(startup.get("interval", {}).get("available_kv_cache_gib"))
    left = "missing" if available < 0 else "KV cache" if caches else "left over"
    table = Table.grid(padding=(0, 2))
    rows = [
        ("weights", startup["weights_gib"], "'Model loading took', on the fullest GPU"),
        ("activations", startup["activation_peak_gib"], "peak of the profiling run"),
        ("non-torch", startup["non_torch_gib"], "CUDA context, NCCL, workspaces"),
        ("CUDA graphs", outside, "" if charged else "outside the budget"),
        (left, abs(available), between),
        *([("others", others, "held by other processes")] if others else []),
    ]
    fill_rows(table, rows)
    console.print(table)
    if startup.get("kv_cache_tokens") and startup["starts"]:
        print_line(
            console,
            f"  vLLM prints: GPU KV cache size {startup['kv_cache_tokens']:,} tokens, maximum "
            f"concurrency {startup['max_concurrency']:.2f}x at {startup['max_model_len']:,} tokens",
        )


def _between(interval: Sequence[float] | None) -> str:
    """The interval of a cache, or of what is missing before there is one."""
    if interval is None:
        return ""
    low, high = interval if interval[1] >= 0 else (-interval[1], -interval[0])
    return f"80 % between {low:.2f} and {high:.2f}"


def requests_text(count: int, such: str = "") -> str:
    """A number of requests in words."""
    return f"{count:,} {such}request{'s' * (count != 1)}"


def hardware_text(hardware: Answer) -> str:
    """Count and name of the GPUs."""
    return f"{hardware['gpus']} × {hardware['gpu']}"


def fill_rows(table: Table, rows: Sequence[tuple[str, float, str]]) -> None:
    """Rows of name, GiB and note."""
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="bright_black")
    for name, gib, note in rows:
        table.add_row(f"  {name}", f"{gib:.2f} GiB", note)


def print_bar(
    console: Console, parts: Mapping[str, float], total: float, target: float, others: float = 0.0
) -> None:
    """Memory as a bar, with a mark where utilisation ends; as wide as the console allows.

    What `others` hold stands at its end.
    """
    bar = Text("  ")
    used = 0
    width = max(1, min(_BAR_WIDTH, console.width - 4))
    scale = width / max(total, sum(parts.values()))
    for name, gib in parts.items():
        letter, colour = _PARTS[name]
        cells = round(gib * scale)
        used += cells
        bar.append(letter * cells, style=f"{colour} reverse")
    letter, colour = _PARTS["others"]
    held = min(round(others * scale), max(0, width - used))
    free, quiet = _PARTS["free"]
    bar.append(free * max(0, width - used - held), style=quiet)
    bar.append(letter * held, style=colour)
    console.print(bar)
    place = 2 + round(target * scale) - 1
    text = f"{target:.1f} of {total:.1f} GiB of each GPU may be used"
    if place + len(text) + 2 > console.width and place > len(text):
        print_line(console, f"{text} ^".rjust(place + 1))
    else:
        print_line(console, " " * place + f"^ {text}")


def print_rows(console: Console, columns: Mapping[str, str], rows: Sequence[Answer]) -> None:
    """Rows as a table: `columns` are titles by field; one that no row has is left out.

    Numbers stand to the right, and nothing is wrapped.
    """
    used = {key: title for key, title in columns.items() if any(key in row for row in rows)}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for key, title in used.items():
        number = isinstance(next(row[key] for row in rows if key in row), int | float)
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in used))
    console.print()
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if value < 1_000 else f"{value:,.0f}"
    return scalar(value)


def show_report(answer: Answer) -> None:
    """Any other answer, as an outline of its fields."""
    console = open_console()
    for line in _outline(answer, 0):
        print_line(console, line)


def _outline(answer: Answer, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    for key, value in answer.items():
        if value in ([], {}):
            continue
        if isinstance(value, Mapping):
            lines += [f"{pad}{key}:", *_outline(cast(Answer, value), depth + 1)]
        elif isinstance(value, list):
            items = cast(list[object], value)
            lines.append(f"{pad}{key}:")
            for item in items:
                lines += _item(item, depth + 1)
        else:
            lines.append(f"{pad}{key}: {scalar(value)}")
    return lines


def _item(item: object, depth: int) -> list[str]:
    pad = "  " * depth
    if not isinstance(item, Mapping):
        return [f"{pad}{scalar(item)}"]
    members = cast(Answer, item)
    if "formula" in members:
        return [f"{pad}{_term(members)}"]
    first, *rest = _outline(members, depth + 1)
    return [f"{pad}- {first.strip()}", *rest]
