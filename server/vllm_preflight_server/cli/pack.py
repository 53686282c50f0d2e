"""The pack command: several servers on one GPU."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vllm_preflight.contract.pack import PackRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight_server.cli.options import add_output_options, command_parser, request_fields
from vllm_preflight_server.cli.output import print_answer, progress
from vllm_preflight_server.cli.terminal import (
    Answer,
    open_console,
    print_line,
    print_rows,
    print_section,
    print_title,
)

_COLUMNS = {
    "model": "model",
    "gpu_memory_utilization": "utilization",
    "requested_gib": "asks GiB",
    "free_before_gib": "free GiB",
    "beside_gib": "beside GiB",
    "kv_cache_gib": "KV GiB",
    "kv_cache_tokens": "KV tokens",
    "outcome": "outcome",
}
_EPILOG = (
    "Each launch after -- is one quoted line; launches that are not quoted begin at each "
    "'vllm'. None is executed."
)


def pack(arguments: Sequence[str]) -> int:
    """Find utilisations with which all launches start on one GPU, and print them."""
    own, launches = _split(arguments)
    parser = command_parser("pack", PackRequest, positional=None, epilog=_EPILOG)
    add_output_options(parser)
    parsed = parser.parse(own)
    if not launches:
        parser.error("no launch was given: pack --gpu H100 -- 'vllm serve A' 'vllm serve B'")
    fields = {**request_fields(parsed, PackRequest), "launches": launches}
    request = validate_request(PackRequest, fields)
    from vllm_preflight.questions.pack import pack_servers

    answer = pack_servers(request, progress=progress)
    print_answer(answer, parsed.json, False, show_packing)
    return 0 if answer.verdict.good else 1


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Own options, and the launches after --: quoted whole, or each from its own "vllm" on."""
    words = list(arguments)
    if "--" not in words:
        return words, []
    place = words.index("--")
    own, rest = words[:place], words[place + 1 :]
    if any(" " in word.strip() for word in rest):
        return own, rest
    starts = [index for index, word in enumerate(rest) if word == "vllm"]
    ends = [*starts[1:], len(rest)]
    return own, [shlex.join(rest[start:end]) for start, end in zip(starts, ends, strict=True)]


def show_packing(answer: Answer) -> None:
    """The verdict, a row for each server, and their commands."""
    console = open_console()
    verdict, servers = answer["verdict"], answer["servers"]
    title = f"{len(servers)} servers on one {answer['gpu']} ({answer['visible_gib']} GiB)"
    print_title(console, verdict["outcome"] in ("starts", "carries", "queues"), title)
    print_line(console, verdict["sentence"])
    print_rows(
        console, _COLUMNS, [{**row, "outcome": row["verdict"]["outcome"]} for row in servers]
    )
    print_section(console, "Commands", [row["command"] for row in servers if "command" in row])
    print_section(console, "Warnings", answer.get("warnings", []))
    print_section(console, "Next", answer.get("next_steps", []))
