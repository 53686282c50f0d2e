"""Whether real launches are read as vLLM 0.33's own parser reads or refuses them.

    python benchmarks/launches.py [--check] [--cases FILE]

Every value is compared, and of a refusal the flag and vLLM's words. Also how long one
command takes to read. With `--check`, exits 1 on any difference, or over the time's limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.yardstick import slowness

from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.flags.parser import ArgumentsRefused, read_arguments
from vllm_preflight.launch.flags.preprocess import Token, WordsRefused, preprocess
from vllm_preflight.launch.flags.table import MODEL_TAG, parser_of
from vllm_preflight.launch.words.find import find_server_command

CASES = Path(__file__).parent / "data" / "launches.jsonl"
RELEASE = (0, 33, 0)
# Milliseconds of CPU time for the median command.
LIMIT = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 on a difference")
    parser.add_argument("--cases", type=Path, default=CASES, help="cases in the same format")
    options = parser.parse_args()
    cases = [json.loads(line) for line in options.cases.read_text(encoding="utf-8").splitlines()]
    wrong = [line for case in cases if (line := difference(case))]
    print("\n".join(wrong))
    values = sum(len(case.get("reads", ())) for case in cases)
    refused = sum("refuses" in case for case in cases)
    print(
        f"{len(cases) - len(wrong)} of {len(cases)} launches read alike: {values} values, "
        f"{refused} refusals"
    )
    milliseconds = median_milliseconds([f"vllm serve {case['serve']}" for case in cases])
    print(f"one command: {milliseconds:.2f} ms of CPU time at the median, limit {LIMIT:g}")
    return int(options.check and (bool(wrong) or milliseconds > LIMIT * slowness()))


def difference(case: dict[str, Any]) -> str | None:
    """Where the reading of a case is not vLLM's; None where it is."""
    values, refusal = read(f"vllm serve {case['serve']}")
    shown = case["serve"][:80]
    if "refuses" in case:
        alike = refusal is not None and refusal.startswith(case["saying"])
        alike = alike and case["refuses"] in (refusal or "")
        return None if alike else f"{shown}: {case['saying']} {case['refuses']} ≠ {refusal}"
    if refusal is not None:
        return f"{shown}: refused, {refusal[:120]}"
    names = values.keys() | case["reads"].keys()
    unlike = sorted(n for n in names if values.get(n) != case["reads"].get(n))
    return f"{shown}: {unlike}" if unlike else None


def read(line: str) -> tuple[dict[str, Any], str | None]:
    """What the parser of the release reads from a line by vLLM's names, or why it stops."""
    parser = parser_of(RELEASE)
    words = find_server_command(line).words
    tokens = [Token(word.text, (index,)) for index, word in enumerate(words)]
    try:
        given = preprocess(tokens, parser, serve=True, read_config=lambda _: None)
        reading = read_arguments(given, parser)
    except (WordsRefused, ArgumentsRefused) as error:
        return {}, error.message
    if reading.extras:
        return {}, "unrecognized arguments: " + " ".join(token.text for token in reading.extras)
    values = {item.argument.dest: item.value for item in reading.given}
    return values | ({MODEL_TAG: reading.model.text} if reading.model else {}), None


def median_milliseconds(lines: Sequence[str]) -> float:
    """CPU time of reading one line into a request's fields, the tables being loaded."""
    times: list[float] = []
    parse_command(lines[0])
    for line in lines:
        started = time.process_time()
        parse_command(line)
        times.append((time.process_time() - started) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
