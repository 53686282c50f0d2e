"""The diff command: one launch in two releases of vLLM."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vllm_preflight.contract.diff import DiffRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.text import scalar
from vllm_preflight_server.cli.options import (
    add_output_options,
    command_parser,
    request_fields,
    split_command,
)
from vllm_preflight_server.cli.output import print_answer, progress
from vllm_preflight_server.cli.terminal import (
    Answer,
    open_console,
    print_line,
    print_rows,
    print_section,
    print_title,
)

# The largest differences of memory; --json has them all.
_MOST_MOVED = 8
_FIGURES = (
    ("KV cache GiB per GPU", "available_kv_cache_gib"),
    ("KV tokens", "kv_cache_tokens"),
    ("maximum concurrency", "max_concurrency"),
    ("longest request", "max_model_len"),
)


def diff(arguments: Sequence[str]) -> int:
    """Simulate a launch in two releases, print what differs; the exit code is the new one's."""
    own, command = split_command(arguments)
    parser = command_parser(
        "diff",
        DiffRequest,
        positional="model",
        epilog="Everything after -- is the vLLM command to compare; it is never executed.",
    )
    add_output_options(parser)
    parsed = parser.parse(own)
    fields = request_fields(parsed, DiffRequest, "model")
    if command:
        # One word after -- is a whole quoted line; several are a line already split.
        fields["command"] = command[0] if len(command) == 1 else shlex.join(command)
    request = validate_request(DiffRequest, fields)
    from vllm_preflight.questions.diff import diff_releases

    answer = diff_releases(request, progress=progress)
    print_answer(answer, parsed.json, False, show_difference)
    return 0 if answer.verdict.good else 1


def show_difference(answer: Answer) -> None:
    """The verdict of the new release, both releases side by side, and why they differ."""
    console = open_console()
    before, after, verdict = answer["before"], answer["after"], answer["verdict"]
    title = f"vLLM {before['vllm_version']} → {after['vllm_version']}"
    print_title(console, verdict["outcome"] in ("starts", "carries", "queues"), title)
    print_line(console, verdict["sentence"])
    print_section(
        console,
        "Flags that the new release does not take",
        [f"{flag['written']}: {flag['sentence']}" for flag in answer.get("ended", [])],
    )
    columns = {"": "", "before": before["vllm_version"], "after": after["vllm_version"]}
    print_rows(console, columns, _side_by_side(before, after))
    changed = [
        f"{item['argument']} {scalar(item['before'])} → {scalar(item['after'])}"
        for item in answer.get("defaults", [])
    ]
    print_section(console, "Defaults that differ", changed)
    moved = [
        f"{term['name']} {term['before_gib']:.2f} → {term['after_gib']:.2f} GiB: "
        f"{term['rule']} ({term['source']})"
        for term in answer.get("moved", [])[:_MOST_MOVED]
    ]
    print_section(console, "Memory that differs most, per GPU", moved)
    restoring = [
        f"{item['flags']}: {item['kv_cache_tokens']:,} KV tokens"
        for item in answer.get("restore", [])
    ]
    print_section(console, "Gives the old cache back", restoring)
    command = [answer["command"]] if "command" in answer else []
    print_section(console, f"Command for {after['vllm_version']}", command)
    print_section(console, "Warnings", answer.get("warnings", []))


def _side_by_side(before: Answer, after: Answer) -> list[Answer]:
    """A row a figure, with a column for each release."""
    rows: list[Answer] = [
        {"": "outcome", **{side: at["verdict"]["outcome"] for side, at in _sides(before, after)}}
    ]
    for title, name in _FIGURES:
        figures = {side: scalar(at[name]) for side, at in _sides(before, after) if name in at}
        rows.append({"": title, **figures})
    return rows


def _sides(before: Answer, after: Answer) -> tuple[tuple[str, Answer], ...]:
    return ("before", before), ("after", after)
