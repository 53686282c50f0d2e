"""From discovered models to find_models' answer."""

from __future__ import annotations

from vllm_preflight.contract.find import FindReport, FindRequest, FoundModel
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.performance.estimate import Performance
from vllm_preflight.recommend.discovery import Discovery, Found
from vllm_preflight.recommend.lines import serve_lines


def find_report(request: FindRequest, hardware: Hardware, discovery: Discovery) -> FindReport:
    """The models found, largest first, rounded for reading."""
    rows = discovery.found
    length = request.max_model_len or request.prompt_tokens + request.gen_tokens
    return FindReport(
        gpu=hardware.gpu.name,
        gpus=hardware.gpus or 1,
        requests=f"{request.concurrency:,} at once of {length:,} tokens",
        models=[_row(item) for item in rows[: request.limit]],
        judged=discovery.judged,
        carried=len(rows),
        warnings=list(hardware.notes),
    )


def _row(found: Found) -> FoundModel:
    choice, model = found.choice, found.model
    entry = catalog_entry(model.id)
    speed = choice.speed.speed if isinstance(choice.speed, Performance) else None
    return FoundModel(
        model=model.id,
        params_b=round(found.params / 1e9, 2),
        weights="16 bit" if model.quantization.method == "none" else model.quantization.label,
        gpus=choice.gpus,
        layout=choice.layout.text,
        outcome="carries" if choice.carries else "queues",
        requests_at_once=choice.held,
        max_model_len=choice.startup.launch.max_model_len,
        output_tokens_per_s=None if speed is None else round(speed.output_tokens_per_s, 1),
        facts="not in the catalogue" if entry is None else entry.completeness,
        serve_command=serve_lines(found.request, model, choice)[0],
    )
