"""Which cards people can get: what a comparison and a remedy offer unasked."""

from __future__ import annotations

import functools
import json
from pathlib import Path


@functools.cache
def offered_gpus() -> tuple[str, ...]:
    """Catalogue names of the cards that are for rent or sale, the commonest first.

    `market.json` says since when and by whom.
    """
    text = Path(__file__).with_name("market.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)["gpus"])
