"""Write the MCP client configurations of this repository from one description.

    python scripts/build_client_configs.py [--check]

`mcp.json` and `.mcp.json` are what Claude Code, Cursor and others read, `.vscode/mcp.json`
is VS Code's own form.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = "vllm-preflight"
SERVER: dict[str, Any] = {"command": "vllm-preflight", "args": ["serve"]}


def client_configs() -> dict[str, str]:
    """Path in the repository to the file's text."""
    plain = {"mcpServers": {NAME: SERVER}}
    vscode = {"servers": {NAME: {"type": "stdio", **SERVER}}}
    return {
        "mcp.json": _text(plain),
        ".mcp.json": _text(plain),
        ".vscode/mcp.json": _text(vscode),
    }


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say which files differ")
    check = parser.parse_args().check
    stale = 0
    for name, text in client_configs().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"{name} differs from what scripts/build_client_configs.py writes")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
