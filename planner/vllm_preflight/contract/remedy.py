"""What helps, as every answer gives it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vllm_preflight.contract.answer import Report


class Remedy(Report):
    """A change that helps, proved by asking again."""

    change: str = Field(description="What changes, in words.")
    effect: str = Field(description="What comes of it.")
    gives_up: str | None = Field(default=None, description="What it costs, where it costs any.")
    tool: str = Field(description="The tool to call again.")
    set: dict[str, Any] = Field(description="Arguments to change in that call.")
    command: str | None = Field(default=None, description="The whole line that results.")
    node_commands: list[str] | None = Field(
        default=None, description="With several nodes: the line of each."
    )
