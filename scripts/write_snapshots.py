"""Write what clients are told of the server, one JSON file per tool and one for the rest.

A test compares them with the code, so that no definition changes unseen: run this after
a change that is meant, and review the difference.

usage: python scripts/write_snapshots.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from vllm_preflight_server.mcp.app import build_server

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "server" / "snapshots"


def snapshots() -> dict[str, str]:
    """The files' contents by name, as a client of 2026-07-28 sees the server."""
    return {name: _text(value) for name, value in anyio.run(_definitions).items()}


async def _definitions() -> dict[str, Any]:
    async with Client(build_server()) as client:
        tools = (await client.list_tools()).tools
        prompts = (await client.list_prompts()).prompts
        resources = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        definitions = {f"tool.{tool.name}.json": _wire(tool) for tool in tools}
        definitions["surface.json"] = {
            "instructions": client.instructions,
            "tools": [tool.name for tool in tools],
            "prompts": [_wire(prompt) for prompt in prompts],
            "resources": [_wire(resource) for resource in resources],
            "resourceTemplates": [_wire(template) for template in templates],
        }
        return definitions


def _wire(definition: Any) -> Any:
    return definition.model_dump(mode="json", by_alias=True, exclude_none=True)


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def differences() -> list[str]:
    """Files that are missing, left over or other than the code says."""
    wanted = snapshots()
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in wanted | found if wanted.get(name) != found.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say what differs")
    if parser.parse_args().check:
        changed = differences()
        print("\n".join(f"differs: {name}" for name in changed) or "no difference")
        return 1 if changed else 0
    FOLDER.mkdir(exist_ok=True)
    wanted = snapshots()
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(wanted)} files in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
