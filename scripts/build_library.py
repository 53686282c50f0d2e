"""Write the library's keyword arguments from the request models.

    python scripts/build_library.py            writes planner/vllm_preflight/library/arguments.py
    python scripts/build_library.py --check    exits 1 when it is stale

A type checker knows keyword arguments only from a written-out TypedDict; this one says
what the models say, so that editors complete and check a call as they do any function.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from vllm_preflight.artifacts.request import GenerateRequest
from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.diff import DiffRequest
from vllm_preflight.contract.explain import ExplainRequest
from vllm_preflight.contract.find import FindRequest
from vllm_preflight.contract.hardware import DetectRequest
from vllm_preflight.contract.inspect import InspectRequest
from vllm_preflight.contract.overhead import OverheadRequest
from vllm_preflight.contract.pack import PackRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import JsonText, RequestModel
from vllm_preflight.contract.vary import VariedRequest

TARGET = Path(__file__).parent.parent / "planner/vllm_preflight/library/arguments.py"
REQUESTS: tuple[type[RequestModel], ...] = (
    PlanRequest,
    VariedRequest,
    CompareRequest,
    FindRequest,
    ExplainRequest,
    GenerateRequest,
    InspectRequest,
    DetectRequest,
    OverheadRequest,
    DiffRequest,
    PackRequest,
)
HEAD = '''"""Keyword arguments of the library's functions.

Written by `scripts/build_library.py` from the request models; the fields' units, ranges
and defaults are described there (`vllm_preflight.contract`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict
'''
# A field of JSON text takes the object itself too.
_JSON = next(item for item in get_args(JsonText) if isinstance(item, BeforeValidator))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when the file is stale")
    text = formatted(source())
    if parser.parse_args().check:
        if TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET.name} is stale; run python scripts/build_library.py", file=sys.stderr)
        return 1
    TARGET.write_text(text, encoding="utf-8")
    print(f"wrote {TARGET.name}")
    return 0


def source() -> str:
    """The module: a class for each request and for each part that requests share."""
    written: dict[type[RequestModel], str] = {}
    for request in REQUESTS:
        write(request, written)
    return "\n\n".join([HEAD, *written.values()])


def write(request: type[RequestModel], written: dict[type[RequestModel], str]) -> None:
    """Add the class of a request after those of its bases."""
    bases = [base for base in request.__bases__ if issubclass(base, RequestModel)]
    bases = [base for base in bases if base is not RequestModel]
    for base in bases:
        if base not in written:
            write(base, written)
    own = [name for name in request.__annotations__ if name in request.model_fields]
    inherited = {name for base in bases for name in base.model_fields}
    # A TypedDict may not make an argument of its base optional, nor give it another type.
    shadowed = [name for name in own if name in inherited]
    lines = [f"    {name}: {member(request.model_fields[name])}" for name in own]
    if shadowed:
        bases = []
        lines = [f"    {name}: {member(f)}" for name, f in request.model_fields.items()]
    parents = ", ".join(name_of(base) for base in bases) or "TypedDict"
    said = f'    """What `{request.__name__}` takes."""'
    body = "\n".join([said, "", *lines]) if lines else said
    written[request] = f"class {name_of(request)}({parents}, total=False):\n{body}\n"


def name_of(request: type[RequestModel]) -> str:
    """The class of a request's arguments."""
    name = request.__name__
    return f"{name.removesuffix('Request').removesuffix('Input')}Arguments"


def member(field: FieldInfo) -> str:
    """A field's type as it is written."""
    text = written_type(field.annotation)
    if _JSON in field.metadata:
        text = f"{text} | {OBJECT}"
    return f"Required[{text}]" if field.is_required() else text


OBJECT = "Mapping[str, Any] | Sequence[Any]"


def written_type(annotation: Any) -> str:
    """A type as source, without the limits that the model checks."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        text = written_type(parts[0])
        return f"{text} | {OBJECT}" if _JSON in parts else text
    if origin in (Union, types.UnionType):
        return " | ".join(written_type(part) for part in parts)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts))}]"
    if origin in (list, tuple):
        return f"Sequence[{written_type(parts[0])}]"
    if annotation is types.NoneType:
        return "None"
    return str(annotation.__name__)


def formatted(text: str) -> str:
    """The source as ruff formats it."""
    command = [sys.executable, "-m", "ruff"]
    stdin = ["--stdin-filename", str(TARGET), "-"]
    run = subprocess.run(
        [*command, "check", "--fix-only", "--quiet", *stdin],
        input=text, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    run = subprocess.run(
        [*command, "format", *stdin],
        input=run.stdout, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return run.stdout


if __name__ == "__main__":
    sys.exit(main())
