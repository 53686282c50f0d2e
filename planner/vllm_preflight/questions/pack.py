"""Several servers on one GPU: with which utilisations all of them start, in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.contract.pack import PackedServer, PackReport, PackRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.verdict import Verdict
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.launch.arguments import ParsedCommand, parse_command
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_config
from vllm_preflight.models.served import load_served
from vllm_preflight.questions.check import with_command
from vllm_preflight.recommend.demand import Demand
from vllm_preflight.recommend.launches import simulate_parsed
from vllm_preflight.recommend.outcome import outcome_of
from vllm_preflight.recommend.packing import Packed, Packing, Server, pack
from vllm_preflight.reports.verdict import held_verdict, start_verdict

Progress = Callable[[str], None]

_FLAG = "--gpu-memory-utilization"


@dataclass(frozen=True)
class _Line:
    """One launch, read."""

    parsed: ParsedCommand
    request: StartupRequest
    model: Model
    hardware: Hardware

    def simulate(self, utilization: float) -> Startup:
        """Alone on the GPU with that share of it."""
        check_stop()
        request = self.request.model_copy(update={"gpu_memory_utilization": utilization})
        return simulate_parsed(self.model, self.hardware, self.parsed, request)


def pack_servers(request: PackRequest, *, progress: Progress | None = None) -> PackReport:
    """Shares of one GPU for servers that are started one after the other.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence; also a line that
            vLLM's parser refuses, or that wants more than one GPU.
    """
    named = {"gpu": request.gpu, "vram_gb": request.vram_gb}
    hardware = replace(select_hardware(validate_request(HardwareInput, named)), gpus=1)
    lines = [_read(line, request, hardware, progress) for line in request.launches]
    asked = request.concurrency or 0
    servers = [
        Server(
            simulate=line.simulate,
            pinned=line.request.gpu_memory_utilization,
            requests=asked,
            tokens=request.prompt_tokens + request.gen_tokens,
        )
        for line in lines
    ]
    packing = pack(servers, hardware.gpu.visible_bytes)
    rows = [
        _row(line, server, request) for line, server in zip(lines, packing.servers, strict=True)
    ]
    warnings = [
        *hardware.notes,
        *(text for line in lines for text in (*line.parsed.warnings, *line.model.notes)),
        *(text for server in packing.servers for text in server.startup.late_warnings),
    ]
    return PackReport(
        verdict=_verdict(packing, rows),
        gpu=hardware.gpu.name,
        visible_gib=bytes_to_gib(hardware.gpu.visible_bytes),
        left_gib=bytes_to_gib(packing.left_bytes),
        servers=rows,
        warnings=list(dict.fromkeys(warnings)),
        next_steps=_next_steps(packing),
    )


def _read(text: str, request: PackRequest, hardware: Hardware, progress: Progress | None) -> _Line:
    parsed = parse_command(text, request.vllm_version)
    if parsed.refusal is not None:
        raise InvalidRequest(
            f"{text[:80]!r}: vLLM would refuse it: {parsed.refusal.message}.",
            "; ".join(parsed.refusal.remedies) or "Correct the line.",
        )
    given = {"command": text, "gpu": request.gpu, "vllm_version": request.vllm_version}
    asked = validate_request(StartupRequest, {k: v for k, v in given.items() if v is not None})
    asked = with_command(asked, parsed)
    model = load_served(asked.model, revision=asked.revision, progress=progress)
    model = override_config(model, parsed.config_overrides)
    line = _Line(parsed, asked, model, hardware)
    launch = line.simulate(asked.gpu_memory_utilization or 0.5).launch
    if (count := launch.world_size * launch.data_parallel_size) > 1:
        raise InvalidRequest(
            f"{asked.model} is spread over {count} GPUs, while these servers share one.",
            "Leave its parallel sizes out, or check it alone.",
        )
    return line


def _row(line: _Line, server: Packed, request: PackRequest) -> PackedServer:
    startup = server.startup
    kv = startup.kv
    pinned = line.request.gpu_memory_utilization is not None
    flags = [] if pinned else [f"{_FLAG} {server.utilization:g}"]
    low = max(0, startup.available_interval[0])
    return PackedServer(
        model=line.request.model,
        verdict=_server_verdict(server, request),
        gpu_memory_utilization=server.utilization,
        free_before_gib=bytes_to_gib(server.free_bytes),
        requested_gib=bytes_to_gib(startup.requested_bytes),
        beside_gib=bytes_to_gib(server.beside_bytes),
        kv_cache_gib=bytes_to_gib(startup.available_bytes),
        kv_cache_tokens=kv.tokens,
        kv_cache_memory_bytes=low if server.starts and kv.tokens else None,
        max_concurrency=None if kv.max_concurrency is None else round(kv.max_concurrency, 2),
        held=server.held if request.concurrency else None,
        command=line.parsed.line(flags) if server.starts else None,
    )


def _server_verdict(server: Packed, request: PackRequest) -> Verdict:
    startup = server.startup
    if server.free_bytes < startup.requested_bytes:
        return Verdict(
            outcome="does_not_start",
            sentence=f"does not start: it asks for {bytes_to_gib(startup.requested_bytes)} GiB, "
            f"while the servers before it leave {bytes_to_gib(server.free_bytes)} GiB free",
            start_probability=0.0,
        )
    if request.concurrency is None:
        return start_verdict(startup)
    demand = Demand(request.prompt_tokens, request.gen_tokens, request.concurrency)
    outcome = outcome_of(startup, server.held, demand.concurrency)
    return held_verdict(startup, demand, server.held, outcome)


def _verdict(packing: Packing, rows: list[PackedServer]) -> Verdict:
    count = len(rows)
    probabilities = [row.verdict.start_probability for row in rows]
    known = [value for value in probabilities if value is not None]
    lowest = min(known) if len(known) == len(rows) else None
    worst = next((row for row in rows if not row.verdict.good), None)
    if packing.fits and worst is None:
        return Verdict(
            outcome="starts",
            sentence=f"all {count} servers start, one after the other, and "
            f"{bytes_to_gib(packing.left_bytes)} GiB stay free",
            start_probability=lowest,
        )
    if worst is not None:
        return Verdict(
            outcome=worst.verdict.outcome,
            sentence=f"{worst.model}: {worst.verdict.sentence}",
            start_probability=worst.verdict.start_probability,
        )
    return Verdict(
        outcome="does_not_start",
        sentence=f"the {count} servers need {bytes_to_gib(-packing.left_bytes)} GiB more than "
        "the GPU has",
        start_probability=0.0,
    )


def _next_steps(packing: Packing) -> list[str]:
    if not packing.fits:
        return [
            "Shorten what each may be sent (--max-model-len), lower --max-num-seqs, quantise a "
            "model, or take a larger GPU."
        ]
    return [
        "Start them in this order, each once the one before it serves: vLLM counts what others "
        "take or free during its own start as its own."
    ]
