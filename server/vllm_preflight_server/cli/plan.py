"""The plan command, and a plan in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight_server.cli.options import (
    add_output_options,
    add_profile_option,
    add_report_options,
    command_parser,
    request_fields,
)
from vllm_preflight_server.cli.output import print_answer, progress, report_path, write_page
from vllm_preflight_server.cli.prices import PRICES_HELP, by_load, with_price_file
from vllm_preflight_server.cli.terminal import (
    Answer,
    open_console,
    print_line,
    print_memory,
    print_section,
    print_speed,
    print_tail,
    print_texts,
    print_verdict,
    requests_text,
)

# Where the requests that fit take less of the cache's tokens than this, it is said why.
_PART_OF_THE_CACHE = 0.6


def plan(arguments: Sequence[str]) -> int:
    """Plan, print, and say by the exit code whether it starts."""
    parser = command_parser("plan", PlanRequest, positional="model", epilog=PRICES_HELP)
    add_profile_option(parser)
    add_output_options(parser, explain=True)
    add_report_options(parser)
    parsed = parser.parse(arguments)
    report = report_path(parsed)
    fields = with_price_file(request_fields(parsed, PlanRequest, "model"))
    from vllm_preflight.questions.plan import plan_deployment

    if parsed.profile is None:
        request, hardware = validate_request(PlanRequest, fields), None
    else:
        from vllm_preflight_server.cli.generate import asked_plan

        asked = asked_plan(parsed, fields)
        request, hardware = asked.request, asked.hardware
    answer = plan_deployment(
        request,
        hardware=hardware,
        explain=parsed.explain,
        whole=parsed.explain or report is not None,
        progress=progress,
    )
    write_page(report, answer, parsed.force)
    print_answer(answer, parsed.json, parsed.explain, show_plan)
    return 0 if answer.verdict.good else 1


def show_plan(answer: Answer) -> None:
    """A plan: verdict, one GPU's memory, what runs at once, speed, the command and why."""
    console = open_console()
    fit = answer["feasibility"]
    print_verdict(console, answer, answer["model"]["model"])
    print_memory(console, answer)
    if answer["startup"]["starts"] and fit["max_concurrency_at_context"]:
        console.print()
        print_line(console, _at_once(fit, answer["startup"]))
    if "performance" in answer:
        console.print()
        print_speed(console, answer["performance"])
    if "pooling" in answer:
        console.print()
        print_texts(console, answer["pooling"])
    artifacts = answer["artifacts"]
    lines = artifacts.get("node_commands") or [artifacts.get("serve_command")]
    print_section(console, "Run", [line for line in lines if line])
    if "serve_command" in artifacts:
        reasons = _reasons(answer["config"]["explanations"], answer.get("tradeoffs", []))
        print_section(console, "Why", reasons)
    cost = answer.get("cost", {})
    print_section(console, "Cost", cost.get("sentences", []))
    print_section(console, "Cost of a million tokens by load", by_load(cost.get("by_load", [])))
    print_section(console, "What would help", _changes(answer.get("remedies", [])))
    print_section(console, "Or", _changes(answer.get("alternatives", [])))
    print_tail(console, answer)


def _at_once(fit: Answer, startup: Answer) -> str:
    """What runs at once at the workload's length, and how long so many requests may be."""
    full = startup["max_model_len"]
    text = f"Surely at once: {requests_text(fit['max_concurrency_at_context'])} of "
    text += f"{fit['context_tokens']:,} tokens"
    if full != fit["context_tokens"] and fit["max_concurrency_at_full_length"]:
        text += f", or {fit['max_concurrency_at_full_length']:,} of {full:,}"
    longest = min(full, fit["max_context_at_concurrency"])
    if longest > fit["context_tokens"]:
        text += f"; {requests_text(fit['concurrency'])} may be up to {longest:,} tokens long"
    held = fit["max_concurrency_at_context"] * fit["context_tokens"]
    if held < _PART_OF_THE_CACHE * startup.get("kv_cache_tokens", 0):
        text += " (layers with a window or a state take as much for a short request as for a long"
        text += " one, so the tokens alone would say more)"
    return f"{text}."


def _changes(changes: Sequence[Answer]) -> list[str]:
    """Each change with what it gives and costs, and the whole command that results."""
    lines: list[str] = []
    for item in changes:
        costs = f" (costs {item['gives_up']})" if "gives_up" in item else ""
        lines.append(f"{item['change']}: {item['effect']}{costs}")
        commands = item.get("node_commands") or [item.get("command")]
        lines += [f"    {command}" for command in commands if command]
    return lines


def _reasons(explanations: Mapping[str, str], tradeoffs: Sequence[Answer]) -> list[str]:
    """Each setting's reason, and what it costs and better needs where that was weighed."""
    weighed = {item["setting"] for item in tradeoffs}
    lines = [f"{name}: {why}" for name, why in explanations.items() if name not in weighed]
    for item in tradeoffs:
        lines += [
            f"{item['setting']} {item['value']}: {item['why']}",
            f"    costs: {item['costs']}",
            f"    next: {item['next_choice']}",
        ]
    return lines
