"""Logs that end in a cause of the catalogue, damaged at random: never another cause for certain."""

from __future__ import annotations

import random
from pathlib import Path

from tests.logs.test_parse import MUTATIONS

from vllm_preflight.logs.causes import load_causes
from vllm_preflight.logs.parse import parse_log

LAST = "RuntimeError: Engine core initialization failed. See root cause above."
START = Path(__file__).parents[1] / "data/logs/v1_started_tp2.log"
LINES_OF_A_START = 18
RUNS = 1000


def test_a_thousand_damaged_logs_name_no_other_cause_for_certain() -> None:
    start = START.read_text(encoding="utf-8").splitlines()[:LINES_OF_A_START]
    causes = [cause for cause in load_causes() if cause.role == "cause"]
    dice = random.Random(20261128)
    certain = 0
    for number in range(RUNS):
        cause = causes[number % len(causes)]
        text = "\n".join([*start, cause.excerpt, LAST])
        whole = parse_log(text).failure
        assert whole is not None, cause.id
        for mutation in dice.sample(MUTATIONS, dice.choice((1, 1, 2))):
            text = mutation(text, dice) or "."
        log = parse_log(text)
        assert log.outcome in ("unknown", "failed"), (number, cause.id)
        if log.failure is None or not log.failure.certain:
            continue
        certain += 1
        assert log.failure.cause in ("", whole.cause), (number, cause.id, log.failure)
    assert certain > RUNS // 4
