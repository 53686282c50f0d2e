"""The command that writes files, and the option that plans from one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_preflight.artifacts.profile import Profile, changed_plan, read_profile
from vllm_preflight.artifacts.request import ALL_KINDS, ArtifactKind
from vllm_preflight.artifacts.write import write_files
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.text import clean
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.models.config_files import read_bounded
from vllm_preflight_server.cli.options import (
    Parser,
    add_profile_option,
    command_parser,
    request_fields,
    split_command,
)
from vllm_preflight_server.cli.output import progress
from vllm_preflight_server.cli.prices import PRICES_HELP, with_price_file
from vllm_preflight_server.cli.streams import is_unicode

_LARGEST_PROFILE = 1_000_000


def generate(arguments: Sequence[str]) -> int:
    """Plan, and write the plan's files into a folder; the exit code."""
    parser = _parser()
    own, extra = split_command(arguments)
    parsed = parser.parse(own)
    kinds = _kinds(parsed.only)
    if not parsed.output.strip():
        raise InvalidRequest("-o names no folder.", "Write -o . for the present one.")
    profile = asked_plan(parsed, with_price_file(request_fields(parsed, PlanRequest, "model")))
    from vllm_preflight.questions.generate import generate_artifacts

    report = generate_artifacts(profile, kinds, extra or (), progress=progress)
    answer = report.to_json_dict()
    paths = write_files(Path(parsed.output), answer["files"], force=parsed.force)
    if parsed.json:
        print(json.dumps(answer, indent=2, ensure_ascii=not is_unicode()))
        return 0
    print(f"The server {report.verdict.sentence}. Written:")
    for path in paths:
        print(f"  {clean(str(path))}")
    for kind, reason in report.skipped.items():
        print(f"Not written: {kind}, {clean(reason)}.", file=sys.stderr)
    for sentence in (*report.warnings, *report.next_steps):
        print(clean(sentence), file=sys.stderr)
    return 0


def asked_plan(parsed: argparse.Namespace, fields: Mapping[str, Any]) -> Profile:
    """What the options ask: the profile's plan, if there is one, with `fields` over it."""
    saved = None
    if parsed.profile is not None:
        data = read_bounded(Path(parsed.profile), _LARGEST_PROFILE)
        saved = read_profile(data.decode("utf-8", errors="replace"))
    return changed_plan(saved, fields)


def _parser() -> Parser:
    epilog = (
        "After -- further flags of vllm serve may follow, such as -- --reasoning-parser qwen3; "
        f"they are checked and go into every file. Kinds: {', '.join(ALL_KINDS)}. {PRICES_HELP}"
    )
    parser = command_parser("generate", PlanRequest, positional="model", epilog=epilog)
    parser.description = "Write the files that run a plan into a folder: all of them, or none."
    add_profile_option(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder to write into; made if missing"
    )
    parser.add_argument(
        "--only", default=None, metavar="KINDS", help="kinds to write, joined by commas"
    )
    parser.add_argument(
        "--force", action="store_true", default=False, help="overwrite files that exist"
    )
    parser.add_argument(
        "--json", action="store_true", default=False, help="print the answer with its files as JSON"
    )
    return parser


def _kinds(only: str | None) -> list[ArtifactKind]:
    if only is None:
        return list(ALL_KINDS)
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in ALL_KINDS]
    if unknown or not wanted:
        raise InvalidRequest(
            f"There is no kind {unknown[0]!r}." if unknown else "--only names no kind.",
            f"Kinds: {', '.join(ALL_KINDS)}.",
        )
    return [kind for kind in ALL_KINDS if kind in wanted]
