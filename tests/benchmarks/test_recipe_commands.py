"""Plan's command beside the recipe's arguments: family flags agree, differences have reasons."""

from __future__ import annotations

import itertools
import shlex

from benchmarks.recipe_commands import (
    ENOUGH,
    FAMILY,
    differences,
    flags_of,
    planned,
    read_cases,
)


def test_family_flags_are_the_recipes_and_differences_have_reasons() -> None:
    agreed = wanted = 0
    for case in itertools.islice(read_cases(), 0, None, 5):
        plan, _ = planned(case)
        if plan is None:
            continue
        flags = flags_of(shlex.split(plan.artifacts.serve_command or "")[3:])
        stated = [flag for flag in FAMILY if flag in case.flags]
        wanted += len(stated)
        agreed += sum(flags.get(flag) == case.flags[flag] for flag in stated)
        for difference in differences(case, flags, plan):
            assert difference.reason, (case.model, case.gpu, difference)
    assert wanted > 40 and agreed >= ENOUGH * wanted


def test_flags_are_read_in_every_spelling() -> None:
    words = ["--max_model_len", "8", "--block-size=64", "--trust-remote-code", "-tp", "2", "--x"]
    assert flags_of(words) == {
        "--max-model-len": "8",
        "--block-size": "64",
        "--trust-remote-code": "",
        "-tp": "2",
        "--x": "",
    }


def test_every_machine_has_a_source() -> None:
    cases = list(read_cases())
    assert len(cases) > 300
    assert all(case.source and case.release and case.gpu for case in cases)
