"""Write the generated parts of README.md: shown output, tool table, configurations, figures.

    python scripts/build_readme.py [--check]

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`; the rest is written by
hand. With `--check` nothing is written, and stale parts make the exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import json
import os
import re
import shlex
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

from build_client_configs import NAME, SERVER, client_configs
from vllm_preflight.hardware.catalog import gpu_names
from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight_server.cli import main as cli
from vllm_preflight_server.mcp.tools import TOOLS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PART = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
PLAN = ("plan", "Qwen/Qwen3-32B", "--gpu", "H100", "--concurrency", "16")
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q ."
CHECK = ("check", "--gpu", "RTX 4090", "--", "vllm", "serve", "Qwen/Qwen3-32B", "-tp", "2")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say which parts are stale")
    check = parser.parse_args().check
    before = README.read_text(encoding="utf-8")
    after = filled(before)
    if before == after:
        return 0
    if not check:
        README.write_text(after, encoding="utf-8")
        print("wrote README.md")
        return 0
    print("README.md is stale; run python scripts/build_readme.py", file=sys.stderr)
    changes = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="")
    print("\n".join(changes), file=sys.stderr)
    return 1


def filled(text: str) -> str:
    """`text` with every generated part as it should be now."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    parts = {
        "plan": shown(f"{INSTALL} && .venv/bin/vllm-preflight {shlex.join(PLAN)}", "sh")
        + f"\n{shown(output_of(*PLAN))}",
        "check": shown(f"vllm-preflight {shlex.join(CHECK)}", "sh")
        + f"\n{shown(output_of(*CHECK))}",
        "usage": shown(output_of("--help")),
        "tools": tool_table(),
        "clients": clients(),
        "accuracy": accuracy(),
        "oracle": oracle(),
        "scope": f"{len(catalog_ids())} models and {len(gpu_names())} GPUs are built in.\n",
    }
    return PART.sub(lambda match: f"{match[1]}{parts[match[2]]}{match[4]}", text)


def output_of(*arguments: str) -> str:
    """What a command prints into a pipe, without the padding of its tables."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        cli.main(arguments)
    return "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())


def shown(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def tool_table() -> str:
    rows = [f"| `{tool.name}` | {tool.title} |" for tool in TOOLS]
    return "\n".join(["| tool | answers |", "|---|---|", *rows]) + "\n"


def clients() -> str:
    """How each client is told of the server, from the description the files are made of."""
    words = " ".join([SERVER["command"], *SERVER["args"]])
    configs = client_configs()
    arguments = json.dumps(SERVER["args"])
    codex = f'[mcp_servers.{NAME}]\ncommand = "{SERVER["command"]}"\nargs = {arguments}\n'
    return "\n".join(
        [
            f"Claude Code: `claude mcp add {NAME} -- {words}`",
            "",
            "Claude Desktop (`claude_desktop_config.json`) and Cursor (`.cursor/mcp.json`):",
            "",
            shown(configs["mcp.json"], "json"),
            "VS Code (`.vscode/mcp.json`):",
            "",
            shown(configs[".vscode/mcp.json"], "json"),
            "Codex (`~/.codex/config.toml`):",
            "",
            shown(codex, "toml"),
            f"By a click, once the command is on `PATH`: {install_links()}.",
            "",
        ]
    )


def install_links() -> str:
    """Links that hand the description to VS Code and to Cursor."""
    server = json.dumps({"name": NAME, **SERVER}, separators=(",", ":"))
    vscode = f"vscode:mcp/install?{quote(server, safe='')}"
    config = b64encode(json.dumps(SERVER, separators=(",", ":")).encode()).decode()
    return (
        f"[VS Code](https://insiders.vscode.dev/redirect?url={quote(vscode, safe='')}), "
        f"[Cursor](https://cursor.com/en/install-mcp?name={NAME}&config={quote(config, safe='')})"
    )


def accuracy() -> str:
    """The targets and what was reached, from docs/accuracy.md."""
    text = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    section = text.partition("## Targets\n")[2].partition("\n## ")[0]
    return f"{section.strip()}\n"


def oracle() -> str:
    """How many of vLLM's own figures the engine is compared with."""
    path = ROOT / "benchmarks" / "data" / "oracle_cases.jsonl"
    with path.open(encoding="utf-8") as lines:
        facts = json.loads(next(lines))
    return (
        f"{facts['rows']:,} launches of {facts['models']} models, computed by vLLM's own classes, "
        "are compared with every change.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
