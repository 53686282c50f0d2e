"""A process that answers questions for a server, one at a time, and may be killed.

It reads frames on stdin and writes frames on stdout: four bytes of length, then JSON.
A question is {"tool", "arguments", "folders", "hub", "limit_s"}; what comes back is any number
of {"progress"} and then one of {"answer", "picture", "hub", "retire"}, {"refusal"} and {"bug"}.
It ends with its input.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import traceback
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from vllm_preflight.base.errors import InvalidRequest, PreflightError
from vllm_preflight.base.strangers import without_folders
from vllm_preflight.contract.request import validate_request
from vllm_preflight.models import hub_reach
from vllm_preflight_server.mcp.question import answer_question
from vllm_preflight_server.mcp.tools import TOOLS

LENGTH_BYTES = 4
# Bytes of address space: twice what the largest header and config take together.
_MOST_MEMORY = 2 * 1024**3
# A process that holds more bytes makes room for a fresh one.
_RETIRES_ABOVE = 300 * 1024**2
# Seconds of CPU beyond a question's limit, after which the kernel ends an orphan.
_ORPHAN_S = 5


def main() -> None:
    """Answer until the input ends."""
    # Signals of a terminal or a service manager reach the whole group: the server decides.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    reader, writer = sys.stdin.buffer, _own_stdout()
    _limit_memory()
    with suppress(BrokenPipeError):
        while (question := read_frame(reader)) is not None:
            _limit_cpu(question["limit_s"])
            write_frame(writer, _answered(question, partial(_tell, writer)))


def read_frame(reader: BinaryIO) -> dict[str, Any] | None:
    """The next frame, None at the end of the input."""
    head = reader.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    return json.loads(reader.read(int.from_bytes(head, "big")))


def write_frame(writer: BinaryIO, frame: dict[str, Any]) -> None:
    """Write one frame at once."""
    writer.write(packed(frame))
    writer.flush()


def packed(frame: dict[str, Any]) -> bytes:
    """A frame as it goes over a pipe."""
    data = json.dumps(frame).encode("ascii")
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def _answered(question: dict[str, Any], progress: Any) -> dict[str, Any]:
    spec = next(spec for spec in TOOLS if spec.name == question["tool"])
    hub_reach.restore(question["hub"])
    try:
        request = validate_request(spec.request, question["arguments"])
        with nullcontext() if question["folders"] else without_folders():
            answered = answer_question(spec, request, progress, whole=question["whole"])
    except PreflightError as error:
        return {"refusal": str(error), "code": error.code, **_state()}
    except MemoryError:
        return {
            "refusal": f"{spec.name} would need more than {_MOST_MEMORY >> 30} GiB of memory for "
            "what it was given. Give a smaller model folder, config or log.",
            "code": InvalidRequest.code,
            **_state(),
            "retire": True,
        }
    except Exception:
        return {"bug": traceback.format_exc(), **_state()}
    picture = answered.picture and base64.b64encode(answered.picture).decode()
    told = {"answer": answered.structured, "drawn": answered.drawn, "picture": picture}
    return {**told, **_state()}


def _state() -> dict[str, Any]:
    return {"hub": hub_reach.known(), "retire": _resident_bytes() > _RETIRES_ABOVE}


def _tell(writer: BinaryIO, sentence: str) -> None:
    write_frame(writer, {"progress": sentence})


def _own_stdout() -> BinaryIO:
    """Standard output for frames alone: what anything else prints goes to standard error."""
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return frames


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has none, others forbid it.
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, resource.RLIM_INFINITY))


def _limit_cpu(limit_s: float) -> None:
    """End by the kernel's hand some CPU seconds after the question should have ended."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        most = int(used.ru_utime + used.ru_stime + limit_s) + _ORPHAN_S
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
