"""Prices on the command line, and costs in a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_preflight.base.documents import parse_yaml
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.models.config_files import read_bounded
from vllm_preflight.recommend.prices import LIST, NONE
from vllm_preflight_server.cli.terminal import Answer

PRICES_HELP = (
    "--prices takes a file (JSON or YAML) or the JSON itself: currency, date, and gpu_hour with "
    "the price of one GPU for one hour by name; list for the built-in list prices on demand, each "
    "with its day; none."
)
_LARGEST = 1_000_000


def with_price_file(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A question's fields, with the text of its price list where they name a file.

    Raises:
        InvalidRequest: no such file, too large a one, or neither JSON nor YAML.
    """
    if "prices" not in fields:
        return dict(fields)
    return {**fields, "prices": _text(fields["prices"])}


def by_load(points: Sequence[Answer]) -> list[str]:
    """Costs over the requests that arrive, in one line; none without points."""
    if not points:
        return []
    pairs = [
        f"{point['cost_per_million_tokens']:,.2f} at {point['requests_per_s']:,.3g}/s"
        for point in points
    ]
    return [", ".join(pairs)]


def _text(given: str) -> str:
    """The JSON of a price list given as such or as the name of a file; a word as it is."""
    if given.lstrip().startswith("{") or given.strip().lower() in (LIST, NONE):
        return given
    data = read_bounded(Path(given), _LARGEST)
    try:
        # JSON is YAML, too.
        parsed = parse_yaml(data.decode("utf-8-sig"))
    except ValueError:
        raise InvalidRequest(
            f"{given} is neither JSON nor YAML.", "See examples/prices.example.json."
        ) from None
    return json.dumps(parsed, default=str)
