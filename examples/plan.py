"""Ask the server from Python: what to run, and what a command would do.

Needs `pip install vllm-preflight` (the MCP SDK comes with it). usage: python plan.py
"""

from __future__ import annotations

import asyncio
from typing import Any

from mcp import Client, StdioServerParameters

SERVER = StdioServerParameters(command="vllm-preflight", args=["serve"])


async def main() -> None:
    """Plan, check a command, compare two GPUs."""
    async with Client(SERVER) as client:
        plan = await ask(
            client,
            "plan_deployment",
            {"model": "Qwen/Qwen3-32B", "gpu": "H100", "gpus": 2, "concurrency": 64},
        )
        print(plan["verdict"]["sentence"])
        print(plan["artifacts"]["serve_command"])

        # "Does not start" is an answer; an error means that the question cannot be answered.
        start = await ask(
            client,
            "predict_startup",
            {"gpu": "RTX 4090", "command": "vllm serve Qwen/Qwen3-32B-AWQ --max-model-len 32k"},
        )
        print(start["verdict"]["sentence"])
        # Each change was simulated: made in the same call, it starts.
        for remedy in start.get("remedies", []):
            print(f"  starts with {remedy['set']}")

        for gpu in ("L40S", "H1000"):
            try:
                plan = await ask(client, "plan_deployment", {"model": "Qwen/Qwen3-8B", "gpu": gpu})
            except ValueError as error:
                print(f"{gpu}: {error}")
            else:
                print(f"{gpu}: {plan['startup']['kv_cache_tokens']:,} tokens of KV cache")


async def ask(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A tool's structured answer; ValueError with the server's sentence when there is none."""
    result = await client.call_tool(tool, arguments)
    if result.is_error or result.structured_content is None:
        raise ValueError(" ".join(getattr(block, "text", "") for block in result.content))
    return result.structured_content


if __name__ == "__main__":
    asyncio.run(main())
