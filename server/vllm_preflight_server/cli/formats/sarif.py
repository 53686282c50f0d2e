"""SARIF 2.1.0, as code scanning reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vllm_preflight import __version__
from vllm_preflight.base.text import clean_values
from vllm_preflight.contract.manifest import ManifestResponse
from vllm_preflight_server.cli.formats.results import RULES, Result, results

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif_text(response: ManifestResponse) -> str:
    """One run with a result for each thing to say; lines are those of the argument."""
    rules = [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()]
    driver = {"name": "vllm-preflight", "version": __version__, "rules": rules}
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "results": [_result(item) for item in results(response)]}
        ],
    }
    return json.dumps(clean_values(log), indent=2, ensure_ascii=False)


def _result(item: Result) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(item.file)},
        "region": {"startLine": max(item.line, 1)},
    }
    return {
        "ruleId": item.rule,
        "ruleIndex": list(RULES).index(item.rule),
        "level": item.level,
        "message": {"text": f"{item.name}: {item.text}"},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """A relative reference; standard input has no file of its own."""
    if file == "-":
        return "stdin"
    path = Path(file)
    return path.as_uri() if path.is_absolute() else path.as_posix().replace(" ", "%20")
