"""check -f: manifests from files, folders or standard input, answered server by server."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.manifest import ManifestResponse, ServerReport
from vllm_preflight_server.cli.output import progress
from vllm_preflight_server.cli.streams import discard_output
from vllm_preflight_server.cli.terminal import (
    open_console,
    print_line,
    print_section,
    print_title,
)

_LARGEST_FILE = 2_000_000
_LARGEST_FOLDER = 20_000_000
_MOST_FILES = 2_000
# What a manifest in a folder may be called, and a word that one of vLLM's must have.
_NAMES = re.compile(
    r".*\.(?:ya?ml|json|service|container|sh)|(?:Docker|Container)file.*", re.IGNORECASE
)
_TELLING = re.compile(rb"vllm|kaito\.sh|llm_configs|modelArtifacts", re.IGNORECASE)
_FORMATS = ("text", "json", "github", "sarif", "junit")


def add_manifest_options(parser: argparse.ArgumentParser) -> None:
    """`-f FILE…` and what goes with it."""
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="manifests that start vLLM instead of a command: Kubernetes objects, compose files, "
        "Helm values, unit files, scripts; - for standard input, or a folder",
    )
    parser.add_argument(
        "--set",
        dest="variables",
        action="append",
        metavar="NAME=VALUE",
        help="value of a variable that the manifests leave open",
    )
    parser.add_argument(
        "--lenient",
        action="store_true",
        default=False,
        help="leave out files that start no vLLM server or are templates; none is no error",
    )
    parser.add_argument("--only", metavar="NAME", help="answer for servers with this in the name")
    parser.add_argument(
        "--format", choices=_FORMATS, help="how the answer for manifests is written"
    )


def check_files(parsed: argparse.Namespace, fields: Mapping[str, Any]) -> int:
    """Answer for every server of the files; the exit code is the worst one's."""
    from vllm_preflight.contract.check import StartupRequest
    from vllm_preflight.contract.request import validate_request
    from vllm_preflight.questions.manifest import Beside, check_manifests

    given = dict(fields)
    for name in ("model", "vary"):
        if name in given:
            raise InvalidRequest(
                f"{name} is given beside -f.", "The manifests say which models they serve."
            )
    validate_request(StartupRequest, {"model": "named-by-the-manifest", **given})
    beside = Beside(given, _variables(parsed), getattr(parsed, "only", None))
    manifests = list(_manifests(parsed.files, lenient=parsed.lenient))
    if parsed.lenient and not manifests:
        return 0
    response = check_manifests(manifests, beside, lenient=parsed.lenient, progress=progress)
    chosen = getattr(parsed, "format", None) or ("json" if parsed.json else "text")
    return _write(response, chosen)


def _variables(parsed: argparse.Namespace) -> dict[str, str]:
    values: dict[str, str] = {}
    given: list[str] = getattr(parsed, "variables", None) or []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"--set {text!r} names no value.", "Write --set NAME=VALUE.")
        values[name] = value
    return values


def _write(response: ManifestResponse, chosen: str) -> int:
    from vllm_preflight_server.cli.formats.annotations import github_text
    from vllm_preflight_server.cli.formats.junit import junit_text
    from vllm_preflight_server.cli.formats.results import exit_code
    from vllm_preflight_server.cli.formats.sarif import sarif_text

    writers: Mapping[str, Callable[[ManifestResponse], str]] = {
        "json": _json_text,
        "github": github_text,
        "sarif": sarif_text,
        "junit": junit_text,
    }
    try:
        if chosen in writers:
            print(writers[chosen](response))
        else:
            _show(response)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    return exit_code(response)


def _json_text(response: ManifestResponse) -> str:
    rows = [row.model_copy(update={"answers": _concise(row)}) for row in response.servers]
    answer = response.model_copy(update={"servers": rows})
    return json.dumps(answer.to_json_dict(), indent=2, ensure_ascii=False)


def _concise(row: ServerReport) -> list[Any]:
    return [answer.concise() for answer in row.answers]


def _show(response: ManifestResponse) -> None:
    console = open_console()
    for index, row in enumerate(response.servers):
        if index:
            console.print()
        told = row.error.message if row.error is not None else ""
        told = row.verdict.sentence if row.verdict is not None else told
        print_title(console, row.good, f"{row.file}:{row.line} {row.name}: {told}")
        print_line(console, f"  {_launch(row)}")
        if row.error is not None and row.error.hint:
            print_line(console, f"  {row.error.hint}")
        for answer in row.answers:
            failure = answer.startup.failure
            hardware, release = answer.hardware, answer.startup.vllm_version
            on = f"{hardware.gpus} × {hardware.gpu}, vLLM {release}"
            because = f": {answer.verdict.because}" if answer.verdict.because else ""
            print_line(console, f"  {on}{because}")
            if failure is not None and failure.remedies:
                line = row.decides or row.line
                print_line(console, f"  starts with {failure.remedies[0]} ({row.file}:{line})")
        for finding in row.findings:
            print_line(console, f"  look: {finding}")
    print_section(console, "Warnings", response.warnings)


def _launch(row: ServerReport) -> str:
    """The launch as it was read, in one line."""
    parts = [row.model or "model unknown", *(f"{k}={v}" for k, v in row.args.items())]
    pods = f" × {row.nodes} nodes" if row.nodes > 1 else ""
    gpus = "" if row.gpus_per_pod is None else f"{row.gpus_per_pod} × "
    parts.append(f"on {gpus}{' or '.join(row.gpu) or 'GPUs that are not named'}{pods}")
    if row.replicas != 1:
        parts.append(f"{row.replicas} replicas")
    return " ".join(", ".join(parts).split())


def _manifests(files: Sequence[str], *, lenient: bool) -> Iterator[Any]:
    from vllm_preflight.questions.manifest import Manifest

    for name in files:
        path = Path(name)
        if name == "-":
            yield Manifest("-", _decoded(_standard_input(), name), searched=lenient)
        elif path.is_dir():
            yield from _in_folder(path)
        else:
            content = _content(path)
            if not lenient or _TELLING.search(content):
                yield Manifest(name, _decoded(content, name), _dotenv(path), lenient)


def _in_folder(folder: Path) -> Iterator[Any]:
    from vllm_preflight.questions.manifest import Manifest

    seen = read = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not _NAMES.fullmatch(name) or path.is_symlink() or not path.is_file():
                continue
            seen += 1
            if seen > _MOST_FILES:
                raise InvalidRequest(
                    f"{folder} has more than {_MOST_FILES:,} files that may be manifests.",
                    "Name the folder that has them.",
                )
            content = _content(path, refuse=False)
            if _TELLING.search(content):
                read += len(content)
                if read > _LARGEST_FOLDER:
                    raise InvalidRequest(
                        f"{folder} has more than {_LARGEST_FOLDER // 10**6} MB of manifests.",
                        "Name the folder that has them.",
                    )
                yield Manifest(str(path), _decoded(content, str(path)), _dotenv(path), True)


def _content(path: Path, *, refuse: bool = True) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        if not refuse:
            return b""
        raise InvalidRequest(
            f"The manifest {path} cannot be read: {reason}.",
            "Give files, a folder, or - for standard input.",
        ) from error
    if len(data) > _LARGEST_FILE:
        if refuse:
            raise InvalidRequest(f"{path} is larger than {_LARGEST_FILE // 10**6} MB.")
        return b""
    return data


def _standard_input() -> bytes:
    with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
        data = stream.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise InvalidRequest(f"The input is larger than {_LARGEST_FILE // 10**6} MB.")
    return data


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name} is not text in UTF-8.", "Give another file.") from None


def _dotenv(path: Path) -> dict[str, str]:
    """What the .env beside a compose file sets, as compose reads it."""
    beside = path.parent / ".env"
    if not re.fullmatch(r"(?:docker-)?compose.*\.ya?ml", path.name) or not beside.is_file():
        return {}
    values: dict[str, str] = {}
    for line in _content(beside, refuse=False).decode("utf-8", "replace").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    return values
