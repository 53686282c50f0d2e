"""The plan command, and a plan in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

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
from vllm_preflight_server.cli.terminal import (
    Answer,
    fill_rows,
    hardware_text,
    open_console,
    print_bar,
    print_line,
    print_section,
    print_speed,
    print_startup,
    print_tail,
    print_title,
    requests_text,
)


def plan(arguments: Sequence[str]) -> int:
    """Plan, print, and say by the exit code whether it carries the workload."""
    parser = command_parser("plan", PlanRequest, positional="model")
    add_profile_option(parser)
    add_output_options(parser, explain=True)
    add_report_options(parser)
    parsed = parser.parse(arguments)
    report = report_path(parsed)
    fields = request_fields(parsed, PlanRequest, "model")
    from vllm_preflight.questions.plan import plan_deployment

    if parsed.profile is None:
        answer = plan_deployment(
            validate_request(PlanRequest, fields), explain=parsed.explain, progress=progress
        )
    else:
        from vllm_preflight_server.cli.generate import asked_plan

        asked = asked_plan(parsed, fields)
        answer = plan_deployment(
            asked.request, hardware=asked.hardware, explain=parsed.explain, progress=progress
        )
    write_page(report, answer, parsed.force)
    print_answer(answer, parsed.json, parsed.explain, show_plan)
    starts = answer.startup is None or answer.startup.starts
    return 0 if answer.feasibility.fits and starts else 1


def show_plan(answer: Answer) -> None:
    """A plan: verdict, memory of the group, what vLLM would print, what to run and why."""
    console = open_console()
    model, hardware = answer["model"], answer["hardware"]
    fit, config = answer["feasibility"], answer["config"]
    startup = answer.get("startup")
    starts = startup is None or startup["starts"]
    verdict = "fits" if fit["fits"] and starts else "does not fit"
    if fit["fits"] and not starts:
        verdict = "fits by the formula, but vLLM would not start"
    print_title(
        console, fit["fits"] and starts, f"{model['model']} on {hardware_text(hardware)}: {verdict}"
    )
    print_line(
        console,
        f"{requests_text(fit['concurrency'])} of {fit['context_tokens']:,} tokens; "
        f"out-of-memory risk {fit['oom_risk']}",
    )
    console.print()
    parts = {
        "weights": fit["weights_gib"],
        "kv_cache": fit["kv_cache_gib"],
        "overhead": fit["overhead_gib"],
    }
    print_bar(console, parts, fit["vram_total_gib"], fit["vram_target_alloc_gib"])
    group = config["tensor_parallel_size"]
    memory = Table.grid(padding=(0, 2))
    rows = [
        (
            "weights",
            fit["weights_gib"],
            f"{model['params_total']:,} parameters, {model['quantization']}",
        ),
        ("KV cache", fit["kv_cache_gib"], "for this workload, with fragmentation"),
        ("overhead", fit["overhead_gib"], "activations, CUDA context, graphs"),
        (
            "headroom",
            fit["headroom_gib"],
            f"left of {fit['vram_target_alloc_gib']:.2f} GiB "
            f"({config['gpu_memory_utilization']:g} of {group} × "
            f"{hardware['visible_gib_per_gpu']:.2f} GiB)",
        ),
    ]
    fill_rows(memory, rows)
    console.print(memory)
    console.print()
    print_line(
        console,
        f"At most {requests_text(fit['max_concurrency_at_context'], 'such ')} at once; "
        f"{requests_text(fit['concurrency'])} may be up to {fit['max_context_at_concurrency']:,} "
        "tokens long.",
    )
    if startup is not None:
        console.print()
        print_startup(console, startup)
    if "performance" in answer:
        console.print()
        print_speed(console, answer["performance"])
    command = answer["artifacts"].get("serve_command")
    print_section(console, "Run", [command] if command else [])
    print_section(console, "Why", _reasons(config["explanations"], answer.get("tradeoffs", [])))
    remedies = [f"{item['change']}: {item['effect']}" for item in answer.get("remedies", [])]
    print_section(console, "What would make it fit", remedies)
    print_tail(console, answer)


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
