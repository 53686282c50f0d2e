"""The call command: one MCP tool in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from vllm_preflight.models.config_files import parse_json_object
from vllm_preflight_server.cli.options import Parser
from vllm_preflight_server.cli.streams import is_unicode


def call(arguments: Sequence[str]) -> int:
    """Run one tool and print its structured answer."""
    parser = Parser(
        prog="vllm-preflight call",
        description="Run one tool through an MCP client in this process and print its answer.",
    )
    parser.add_argument("tool", help="the tool's name, such as plan_deployment")
    parser.add_argument("arguments", nargs="?", default="{}", help="its arguments as JSON")
    parsed = parser.parse(arguments)
    values = parse_json_object(
        parsed.arguments.encode(errors="replace"),
        "The second argument",
        'Write a JSON object such as {"model": "Qwen/Qwen3-8B", "gpu": "H100"}, in single quotes.',
    )
    from vllm_preflight_server.mcp.call import call_tool

    answer = call_tool(parsed.tool, values)
    if answer.problem is not None:
        print(f"error: {answer.problem}", file=sys.stderr)
        return 2
    print(json.dumps(answer.structured, indent=2, ensure_ascii=not is_unicode()))
    return 0
