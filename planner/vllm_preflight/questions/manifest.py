"""check -f: which vLLM servers manifests start, and whether each would start."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_preflight.base.errors import InvalidRequest, PreflightError
from vllm_preflight.base.strangers import before_strangers
from vllm_preflight.contract.check import (
    Failure,
    StartupReport,
    StartupRequest,
    StartupResponse,
)
from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.contract.manifest import (
    ArgumentPlace,
    ManifestResponse,
    ServerError,
    ServerReport,
)
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.vary import ManifestRow, VariedResponse
from vllm_preflight.contract.verdict import Verdict
from vllm_preflight.hardware.mig import find_profile
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.launch.arguments import ParsedCommand, parse_server
from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.versions import NEWEST_KNOWN, format_version
from vllm_preflight.launch.words.expand import Expanded
from vllm_preflight.launch.words.find import NO_SERVER
from vllm_preflight.launch.words.server import ServerCommand
from vllm_preflight.logs.scrub import scrub
from vllm_preflight.manifests.accelerators import named_gpu
from vllm_preflight.manifests.fit import fitted, of_shared_card, wanted_gpus
from vllm_preflight.manifests.places import argument_places
from vllm_preflight.manifests.read import RENDER_FIRST, Loaded, load_manifest, read_loaded
from vllm_preflight.manifests.servers import ManifestServer
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.reports.model import hardware_report

Progress = Callable[[str], None]

# What takes some milliseconds to read, whatever it says.
_SHORT_MANIFEST = 20_000
# How workers are started, which is nothing of memory's.
_OF_WORKERS = frozenset({"distributed_executor_backend"})
# A variable's name in the words that are left open.
# Commands that count the GPUs of the machine.
_COUNTING = re.compile(r"\$\(\s*nvidia-smi\b[^()]*(?:wc -l|--list-gpus|-L|count)[^()]*\)")
_VARIABLE = re.compile(r"\$(?:\{|\((?=\w+\)))?([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Manifest:
    """A file's name and text.

    `defaults` are what a .env file beside it sets; `searched` is true for a file that was
    found in a folder and not named: it may well be something else.
    """

    name: str
    text: str
    defaults: Mapping[str, str] = field(default_factory=dict[str, str])
    searched: bool = False


@dataclass(frozen=True)
class Beside:
    """What is given beside the manifests.

    Attributes:
        fields: of StartupRequest, for every server; `gpu` and `gpus` where the manifest
            names none or they are to be others.
        variables: values of variables that the manifests leave open.
        only: part of the names of the servers to answer for.
    """

    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    only: str | None = None


def check_manifests(
    manifests: Sequence[Manifest],
    beside: Beside | None = None,
    *,
    lenient: bool = False,
    progress: Progress | None = None,
) -> ManifestResponse:
    """Every vLLM server of the manifests with its verdict, or with what keeps it from one.

    A file that cannot be read is a row with an error; one that starts no vLLM is a warning.

    Raises:
        InvalidRequest: none of the files starts a vLLM server, which `lenient` lets pass, or
            `only` names none.
    """
    beside = beside or Beside()
    servers: list[ServerReport] = []
    warnings: list[str] = []
    loaded: list[tuple[Manifest, Loaded]] = []
    for manifest in manifests:
        try:
            loaded.append((manifest, load_manifest(manifest.text, manifest.name)))
        except InvalidRequest as error:
            if manifest.searched:
                warnings.append(f"{manifest.name} is left out: {error}")
            else:
                servers.append(_unread(manifest, error))
    files = [file for _, file in loaded]
    for manifest, file in loaded:
        try:
            found = read_loaded(file, files, beside.variables, manifest.defaults)
        except InvalidRequest as error:
            servers.append(_unread(manifest, error))
            continue
        if not found and not manifest.searched:
            warnings.append(f"{manifest.name} starts no vLLM server.")
        lines = manifest.text.splitlines()
        chosen = [s for s in found if beside.only is None or beside.only in s.name]
        servers += [_answered(server, manifest.name, lines, beside, progress) for server in chosen]
    if not servers and not lenient:
        raise _nothing(warnings, beside.only)
    return ManifestResponse(servers=servers, warnings=warnings)


def _nothing(warnings: Sequence[str], only: str | None) -> InvalidRequest:
    if only is not None:
        return InvalidRequest(f"No vLLM server is called {only!r}.", "Leave --only out.")
    return InvalidRequest(
        " ".join(warnings[:3]) or "There is no manifest.",
        "Give Kubernetes objects, compose files, Helm values, unit files or scripts that run "
        "vllm serve.",
    )


def _unread(manifest: Manifest, error: InvalidRequest) -> ServerReport:
    line = re.search(r"\bline (\d+)", error.message)
    return ServerReport(
        name=manifest.name,
        file=manifest.name,
        line=int(line[1]) if line else 1,
        error=_error(error),
    )


def _error(error: PreflightError) -> ServerError:
    return ServerError(code=error.code, message=scrub(error.message, 600), hint=error.hint)


def _answered(
    server: ManifestServer,
    file: str,
    lines: Sequence[str],
    beside: Beside,
    progress: Progress | None,
) -> ServerReport:
    """One server's row."""
    gpus = server.gpus
    row = ServerReport(
        name=scrub(server.name, 200),
        file=file,
        document=server.document,
        line=server.line,
        gpu=list(gpus.names),
        gpus_per_pod=gpus.count if gpus.count is not None else ("all" if gpus.every else None),
        nodes=server.nodes,
        replicas=server.replicas,
        version=server.release,
        image=None if server.image is None else scrub(server.image),
        shm="host" if server.shared_memory.host else server.shared_memory.size,
        findings=[scrub(note, 600) for note in (*server.notes, *_open_points(server))],
    )
    if server.command is None:
        problem = InvalidRequest(server.problem, server.hint)
        return row.model_copy(update={"error": _error(problem)})
    server = replace(server, command=_counting_gpus(server.command, gpus.count))
    assert server.command is not None
    places = [ArgumentPlace(flag=f, line=n) for f, n in argument_places(server, lines)]
    row = row.model_copy(update={"places": places})
    release = str(beside.fields.get("vllm_version") or server.release or "")
    release = "" if release == "latest" else release
    try:
        # What is left open and decides is an error; what does not decide is left out.
        parse_server(server.command, release or None)
        parsed = parse_server(_known_only(server.command), release or None)
    except InvalidRequest as error:
        return row.model_copy(update={"error": _error(_asking(error, server))})
    row = row.model_copy(update={"model": _model_of(parsed), "args": _arguments(parsed)})
    if gpus.count is None and parsed.visible is not None:
        # What `docker run --gpus` or CUDA_VISIBLE_DEVICES in the words hands in.
        server = replace(server, gpus=replace(gpus, count=parsed.visible.count, every=False))
        row = row.model_copy(update={"gpus_per_pod": parsed.visible.count})
    try:
        row = _predicted(row, server, parsed, beside, release, progress)
    except PreflightError as error:
        return row.model_copy(update={"error": _error(error)})
    return row if row.good else row.model_copy(update={"decides": _decides(row)})


def _open_points(server: ManifestServer) -> list[str]:
    """What the server's text leaves open, such as a second server beside it."""
    notes = server.command.notes if server.command is not None else ()
    return [note for note in notes if note != NO_SERVER]


def _predicted(
    row: ServerReport,
    server: ManifestServer,
    parsed: ParsedCommand,
    beside: Beside,
    release: str,
    progress: Progress | None,
) -> ServerReport:
    """The row with its verdict: GPUs that do not add up, or the predicted start."""
    server, findings, refusal = fitted(server, parsed)
    row = row.model_copy(
        update={
            "findings": [
                *row.findings,
                *(scrub(found, 600) for found in [*findings, *_of_other_gpu(server, beside)]),
            ],
            "nodes": server.nodes,
            "replicas": server.replicas,
        }
    )
    if refusal is None and parsed.refusal is not None and not _names(server, beside):
        sentence = f"refused: vLLM stops before it loads anything: {parsed.refusal.message}"
        refusal = Verdict(outcome="refused", sentence=sentence, start_probability=0.0)
    if refusal is not None:
        return row.model_copy(update={"verdict": refusal})
    answers = [
        predict_startup(request, parsed=parsed, progress=progress)
        for request in _requests(server, parsed, beside, release)
    ]
    verdict = min((answer.verdict for answer in answers), key=_rank)
    if "free_vram_gb" not in beside.fields:
        verdict = of_shared_card(server, verdict)
    if verdict.outcome == "not_modelled" and server.gpus.shared is not None:
        # Answers for a card of its own would promise what nobody knows.
        answers = []
    return row.model_copy(update={"answers": answers, "verdict": verdict})


def _counting_gpus(command: ServerCommand, count: int | None) -> ServerCommand:
    """The command with its `$(nvidia-smi -L | wc -l)` as the pod's number of GPUs."""
    words = [
        Expanded(str(count)) if count is not None and _COUNTING.search(word.text) else word
        for word in command.words
    ]
    return replace(command, words=tuple(words))


def _known_only(command: ServerCommand) -> ServerCommand:
    """The command without the flags whose values nobody knows."""
    kept: list[Expanded] = []
    for word in command.words:
        if word.missing:
            if kept and kept[-1].text.startswith("-") and not word.text.startswith("-"):
                kept.pop()
            continue
        kept.append(word)
    return replace(command, words=tuple(kept))


def _decides(row: ServerReport) -> int:
    """The line of the first argument that the failure or its remedies name."""
    told = [row.verdict.sentence] if row.verdict is not None else []
    failures = [answer.startup.failure for answer in row.answers if answer.startup.failure]
    for failure in failures:
        told = [*failure.remedies, failure.message, *told]
    known = parser_of(NEWEST_KNOWN).by_spelling
    lines = {
        known[place.flag].dest if place.flag in known else place.flag: place.line
        for place in reversed(row.places)
    }
    for text in told:
        names = re.findall(r"[a-z][a-z0-9_]+", text.replace("-", "_").lower())
        for name in names:
            if name.strip("_") in lines:
                return lines[name.strip("_")]
    return lines.get("model", row.line)


def _asking(error: InvalidRequest, server: ManifestServer) -> InvalidRequest:
    """The error with how a missing variable is given."""
    if "leaves open" in error.message and "{{" in error.message:
        return InvalidRequest(error.message, RENDER_FIRST)
    names = list(dict.fromkeys(_VARIABLE.findall(error.message)))
    if "leaves open" not in error.message or not names:
        return error
    told = " ".join([error.message, *(note for note in server.notes if "ConfigMap" in note)])
    values = " ".join(f"--set {name}=VALUE" for name in names)
    return InvalidRequest(told, f"Give {values}, or the file that sets them.")


def _model_of(parsed: ParsedCommand) -> str | None:
    return parsed.fields.get("model") or parsed.default_model


def _arguments(parsed: ParsedCommand) -> dict[str, Any]:
    fields = {k: v for k, v in parsed.fields.items() if k not in {"model", "vllm_version"}}
    return {k: v for k, v in {**fields, **parsed.extra}.items() if k not in _OF_WORKERS}


def _rank(verdict: Verdict) -> int:
    order = ("refused", "does_not_start", "borderline", "not_modelled")
    return order.index(verdict.outcome) if verdict.outcome in order else len(order)


def _names(server: ManifestServer, beside: Beside) -> list[str]:
    """The GPUs to answer for: the one given beside, else those of the manifest."""
    given, mig = beside.fields.get("gpu"), server.gpus.mig
    if given is None:
        return list(server.gpus.names)
    return [f"{given} MIG {mig}" if mig and find_profile(str(given)) is None else str(given)]


def _of_other_gpu(server: ManifestServer, beside: Beside) -> Iterator[str]:
    """That another GPU was given than the manifest has."""
    names = _names(server, beside)
    same = [named_gpu(name) for name in names] == list(server.gpus.names)
    if server.gpus.names and list(server.gpus.names) != names and not same:
        yield f"It asks for {' or '.join(server.gpus.names)}; answered for {names[0]}, as given."


def _requests(
    server: ManifestServer, parsed: ParsedCommand, beside: Beside, release: str
) -> Iterator[StartupRequest]:
    """The launch on each GPU that the server may get."""
    given = dict(beside.fields)
    names = _names(server, beside)
    given.pop("gpu", None)
    if not names and "vram_gb" not in given:
        raise InvalidRequest(
            f"{server.name} does not say which GPU it gets.",
            "Name one, for example gpu=H100 (--gpu H100).",
        )
    count = given.pop("gpus", None) or server.total_gpus
    if count is None and server.gpus.count is not None:
        count = server.gpus.count * server.nodes
    if release:
        given["vllm_version"] = release
    for name in names or ["unknown"]:
        is_part = find_profile(str(name)) is not None
        fields: dict[str, Any] = {
            **given,
            "gpu": name,
            "gpus": 1 if is_part else count or wanted_gpus(parsed),
            "nodes": server.nodes,
            "command": parsed.line(),
        }
        yield validate_request(StartupRequest, fields)


def predict_manifest(
    text: str, fields: Mapping[str, Any], *, progress: Progress | None = None
) -> VariedResponse:
    """The prediction of a manifest's server, of several the worst, with a row for each.

    Raises:
        PreflightError: none of them can be answered; the message says why for each.
    """
    if len(text) > _SHORT_MANIFEST:
        before_strangers()
    response = check_manifests([Manifest("-", text)], Beside(fields), progress=progress)
    answered = [row for row in response.servers if row.answers]
    refused = next((r for r in response.servers if r.verdict and not r.answers), None)
    running = [row for row in answered if not row.stopped]
    worst = next((row for row in running if not row.good), next(iter([*running, *answered]), None))
    if refused is not None and (worst is None or worst.good):
        answer = _refused(refused, fields)
        if answer is not None:
            return VariedResponse(**dict(answer), servers=_rows(response))
    if worst is None:
        told = " ".join(f"{row.name}: {_told(row)}." for row in response.servers[:4])
        hints = [row.error.hint for row in response.servers if row.error and row.error.hint]
        raise InvalidRequest(told.replace("..", "."), hints[0] if hints else "")
    answer = min(worst.answers, key=lambda item: _rank(item.verdict))
    return VariedResponse(**dict(answer), servers=_rows(response))


def _refused(row: ServerReport, fields: Mapping[str, Any]) -> StartupResponse | None:
    """The answer for a server whose GPUs do not add up; None where no GPU is named."""
    names = [str(fields["gpu"])] if "gpu" in fields else row.gpu
    if not names or row.verdict is None:
        return None
    hardware = select_hardware(HardwareInput(gpu=names[0]))
    message = row.verdict.sentence
    unknown = row.verdict.outcome == "not_modelled"
    kind = "not_modelled" if unknown else "invalid_arguments"
    return StartupResponse(
        verdict=row.verdict,
        hardware=hardware_report(hardware, None),
        arguments={"model": row.model or "", **row.args},
        startup=StartupReport(
            vllm_version=row.version or format_version(NEWEST_KNOWN),
            starts=False,
            failure=Failure(kind=kind, message=message),
        ),
    )


def _rows(response: ManifestResponse) -> list[ManifestRow]:
    return [
        ManifestRow(
            name=row.name,
            line=row.decides or row.line,
            outcome=None if row.verdict is None or row.stopped else row.verdict.outcome,
            told=_told(row),
            findings=row.findings,
        )
        for row in response.servers
    ]


def _told(row: ServerReport) -> str:
    if row.error is not None:
        return row.error.message
    if row.verdict is None:
        return "not answered"
    later = "nothing runs; scaled up: " if row.stopped else ""
    return later + row.verdict.sentence
