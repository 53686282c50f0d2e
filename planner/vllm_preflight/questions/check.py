"""predict_startup: what `vllm serve` with these arguments does on this hardware."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vllm_preflight.base.errors import InvalidRequest, PreflightError, UnsupportedArchitecture
from vllm_preflight.contract.check import Failure, StartupReport, StartupRequest, StartupResponse
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.verdict import Outcome, Verdict
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.launch.acceptance.methods import ALLOW_DEPRECATED
from vllm_preflight.launch.acceptance.unread import refused_config
from vllm_preflight.launch.arguments import ParsedCommand, parse_command
from vllm_preflight.launch.flags.refusals import Refusal
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.line import with_flags
from vllm_preflight.launch.ropes import OwnRope, own_rope
from vllm_preflight.launch.surroundings import visible_gpus
from vllm_preflight.launch.versions import format_version, parse_version
from vllm_preflight.launch.words.find import find_server_command
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_config, override_parameters
from vllm_preflight.models.served import load_served
from vllm_preflight.questions.corrections import (
    TOOL,
    Corrections,
    flags_of,
    given_fields,
    whole_line,
)
from vllm_preflight.recommend.launches import simulate_parsed
from vllm_preflight.recommend.start_remedies import start_fixes
from vllm_preflight.reports.model import hardware_report, model_report
from vllm_preflight.reports.startup import startup_report
from vllm_preflight.reports.verdict import refusal_sentence, start_verdict

Progress = Callable[[str], None]

_SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
# What the answer lists of a launch, in vLLM's names.
_ARGUMENTS = (
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "max_model_len",
    "gpu_memory_utilization",
    "max_num_seqs",
    "max_num_batched_tokens",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "enable_expert_parallel",
    "enforce_eager",
    "enable_prefix_caching",
    "async_scheduling",
)


def predict_startup(
    request: StartupRequest,
    *,
    model: Model | None = None,
    hardware: Hardware | None = None,
    parsed: ParsedCommand | None = None,
    whole: bool = True,
    progress: Progress | None = None,
) -> StartupResponse:
    """Simulate the launch and say what vLLM would print, or how it would fail.

    `model`, `hardware` and `parsed`, the command as it was read, save reading them again when
    the caller has them; `whole` says every term behind the figures, too. A command that
    the release's parser does not take is an answer (failure kind "invalid_arguments"), and so
    is an architecture that is not understood ("not_modelled").

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    call, request = request, _with_vllm_args(request)
    parsed = parsed or _parsed(request)
    asked, request = request, with_command(request, parsed)
    hardware = _seen(hardware or select_hardware(_without_sizes(request)), parsed)
    if parsed.refusal is not None:
        parsed = _with_rope(asked, parsed, model)
        return _refused(request, parsed, hardware, _instead(asked, parsed, hardware, model))
    try:
        model = model or load_served(request.model, revision=request.revision, progress=progress)
        model = override_parameters(model, request.params_b)
        unchanged, model = model, override_config(model, parsed.config_overrides)
        simulate = functools.partial(simulate_parsed, model, hardware, parsed)
        startup = simulate(request)
    except UnsupportedArchitecture as error:
        return _unsupported(request, parsed, hardware, error)
    attempt = functools.partial(_attempt, simulate, hardware, request)
    verdict = start_verdict(startup)
    fixes = [] if verdict.good else start_fixes(request, startup, attempt)
    report = startup_report(startup, model, [fix.text for fix in fixes], whole=whole)
    failure = report.failure
    changes = [fix.text for fix in fixes] if failure is None else failure.remedies
    corrections = Corrections(call, request, parsed, unchanged, hardware)
    remedies = [] if verdict.good else corrections.remedies(changes)
    steps = [] if verdict.good else _next_steps(verdict, remedies, changes)
    if failure is not None:
        told = [one.change for one in remedies]
        # What is no flag is left to whoever asked.
        told += [change for change in changes if flags_of(change) is None]
        report = report.model_copy(
            update={"failure": failure.model_copy(update={"remedies": told})}
        )
    return StartupResponse(
        verdict=verdict,
        model=model_report(model, startup.launch, hardware.capability),
        hardware=hardware_report(hardware, startup.launch),
        arguments=_arguments(request, startup.launch),
        defaulted=[name for name in _ARGUMENTS if name in startup.launch.defaulted],
        startup=report,
        command=_line(request, parsed, verdict, remedies),
        remedies=remedies or None,
        warnings=[*parsed.warnings, *hardware.notes, *model.notes, *startup.launch.warnings],
        next_steps=steps,
    )


def _line(
    request: StartupRequest, parsed: ParsedCommand, verdict: Verdict, remedies: Sequence[Remedy]
) -> str | None:
    """The user's whole line; with the first remedy put in where it would not start.

    None where nothing is known that makes it start, or where it is not modelled.
    """
    if verdict.good:
        return whole_line(request, parsed)
    return remedies[0].command if remedies else None


def _with_vllm_args(request: StartupRequest) -> StartupRequest:
    """The request with its `vllm_args` at the end of its command."""
    if request.vllm_args is None:
        return request
    head = request.command or f"vllm serve {shlex.quote(request.model)}"
    command = with_flags(find_server_command(head), request.vllm_args)
    return request.model_copy(update={"command": command, "vllm_args": None})


def _parsed(request: StartupRequest, rope: OwnRope | None = None) -> ParsedCommand:
    if request.command is None:
        return ParsedCommand({})
    return parse_command(
        request.command,
        request.vllm_version,
        model=request.model or None,
        own_rope=rope,
    )


def with_command(request: StartupRequest, parsed: ParsedCommand) -> StartupRequest:
    """`request` with the command's arguments as fields of it.

    Raises:
        InvalidRequest: a field and the command disagree, or neither names a model.
    """
    if request.command is None:
        return request
    given = given_fields(request)
    for name, value in parsed.fields.items():
        if name in given and given[name] != value:
            raise InvalidRequest(
                f"{name} is {given[name]!r} as a field and {value!r} in the command.",
                "Give it once.",
            )
    merged = validate_request(
        StartupRequest, {**parsed.fields, **given, "command": request.command}
    )
    if merged.model:
        return merged
    if parsed.default_model is None:
        raise InvalidRequest("The command names no model.", "Write: vllm serve MODEL ….")
    return merged.model_copy(update={"model": parsed.default_model})


def _without_sizes(request: StartupRequest) -> StartupRequest:
    """The request without its parallel sizes: too large ones are vLLM's to refuse."""
    if (request.nodes or 1) > 1:
        return request
    return request.model_copy(update=dict.fromkeys(_SIZES))


def _seen(hardware: Hardware, parsed: ParsedCommand) -> Hardware:
    """The hardware with no more GPUs than the command lets the launch see."""
    if parsed.visible is None or hardware.nodes > 1:
        return hardware
    return replace(hardware, gpus=visible_gpus(parsed, hardware.gpus))


def _attempt(
    simulate: Callable[[StartupRequest], Startup],
    hardware: Hardware,
    request: StartupRequest,
    changes: Mapping[str, Any],
) -> Startup | None:
    """The launch with `changes`; None where that is no launch, or needs GPUs nobody has."""
    try:
        startup = simulate(request.model_copy(update=dict(changes)))
    except PreflightError:
        return None
    launch = startup.launch
    wanted = launch.world_size * launch.data_parallel_size
    return startup if hardware.gpus is None or wanted <= hardware.gpus else None


def _arguments(request: StartupRequest, launch: Launch) -> dict[str, Any]:
    values = {name: getattr(launch, name) for name in _ARGUMENTS}
    return {"model": request.model, **{k: v for k, v in values.items() if v is not None}}


def _refused(
    request: StartupRequest,
    parsed: ParsedCommand,
    hardware: Hardware,
    instead: tuple[str | None, list[str]],
) -> StartupResponse:
    """The answer where vLLM's parser stops: its words, and the line that starts instead."""
    refusal = parsed.refusal
    assert refusal is not None
    message = f"{refusal.message}. {refusal.explanation}".rstrip(". ")
    message += "" if message.endswith("?") else "."
    version = parse_version(request.vllm_version)
    command, steps = instead
    return StartupResponse(
        verdict=Verdict(
            outcome="refused",
            sentence=refusal_sentence(version, message, assumed=request.vllm_version is None),
            start_probability=0.0,
        ),
        hardware=hardware_report(hardware, None),
        arguments={"model": request.model},
        startup=StartupReport(
            vllm_version=format_version(version),
            starts=False,
            failure=Failure(
                kind="invalid_arguments", message=message, remedies=list(refusal.remedies)
            ),
        ),
        command=command,
        remedies=None if command is None else [_corrected(command, refusal)],
        warnings=list(parsed.warnings),
        next_steps=steps,
    )


def _corrected(line: str, refusal: Refusal) -> Remedy:
    """The whole line that starts instead of a refused one, as a remedy."""
    change = " and ".join(refusal.remedies) or "the corrected line"
    return Remedy(change=change, effect="starts", tool=TOOL, set={"command": line}, command=line)


def _instead(
    request: StartupRequest, parsed: ParsedCommand, hardware: Hardware, model: Model | None
) -> tuple[str | None, list[str]]:
    """The corrected line as far as it starts, and what is to be said of it where it does not."""
    if parsed.refusal is None or parsed.refusal.corrected is None:
        return None, []
    line = whole_line(request, parsed)
    try:
        tried = request.model_copy(update={"command": line})
        answer = predict_startup(tried, model=model, hardware=hardware)
    except PreflightError as error:
        return None, [f"vLLM's parser would take: {line}", error.message]
    if answer.verdict.good:
        return line, []
    told = f"The corrected line: {answer.verdict.sentence.rstrip('.')}."
    taken = [] if answer.command is not None else [f"vLLM's parser would take: {line}"]
    return answer.command, [*taken, told]


def _with_rope(
    request: StartupRequest, parsed: ParsedCommand, model: Model | None
) -> ParsedCommand:
    """The command read again for the model, where the line of today must name its rope."""
    refusal, name = parsed.refusal, str(parsed.fields.get("model", request.model))
    if refusal is None or refusal.corrected is not None or "--rope-" not in refusal.message:
        return parsed
    try:
        config = (model or load_served(name, revision=request.revision)).config
    except PreflightError:
        return parsed
    rope = own_rope(config)
    return parsed if rope is None else _parsed(request, rope)


def _next_steps(verdict: Verdict, remedies: Sequence[Remedy], changes: Sequence[str]) -> list[str]:
    """What to do about a launch that does not start, and what vLLM proposes that is not enough."""
    if verdict.outcome == "not_modelled":
        return []
    proved = [remedy.change for remedy in remedies]
    others = [change for change in changes if change not in proved]
    # What vLLM's own sentence proposes lets it go on, which is not yet to start.
    rest = [
        f"vLLM would take {change}, but would not start with it."
        for change in others
        if flags_of(change) is not None
    ]
    if proved:
        return [f"Start with {proved[0]}.", *rest]
    if verdict.outcome == "refused":
        return ["No memory setting helps: correct what vLLM says.", *rest]
    return ["No argument that was tried makes it start: plan with other or more GPUs.", *rest]


def _unsupported(
    request: StartupRequest,
    parsed: ParsedCommand,
    hardware: Hardware,
    error: UnsupportedArchitecture,
) -> StartupResponse:
    version = parse_version(request.vllm_version)
    refused = refused_config(
        error.config,
        version,
        trust_remote_code=request.trust_remote_code,
        allow_deprecated=bool(parsed.extra.get(ALLOW_DEPRECATED)),
    )
    keys = f" The keys that matter: {', '.join(error.keys)}." if error.keys else ""
    sentence = f"not modelled: {error.message}"
    outcome: Outcome = "not_modelled"
    failure = Failure(
        kind="not_modelled",
        message=f"{error.message}{keys} Nothing is predicted rather than guessed.",
    )
    if refused is not None:
        outcome = "refused"
        assumed = request.vllm_version is None
        sentence = refusal_sentence(version, refused.message, assumed=assumed)
        failure = Failure(
            kind=refused.kind, message=refused.message, remedies=list(refused.remedies)
        )
    return StartupResponse(
        verdict=Verdict(
            outcome=outcome,
            sentence=sentence,
            start_probability=None if refused is None else 0.0,
        ),
        hardware=hardware_report(hardware, None),
        arguments={"model": request.model},
        startup=StartupReport(
            vllm_version=format_version(version),
            starts=False,
            start_probability=None if refused is None else 0.0,
            failure=failure,
        ),
        warnings=[*parsed.warnings],
        next_steps=[error.hint] if error.hint else [],
    )
