"""Plan's command beside the recipe's arguments, for each model and verified machine.

    python benchmarks/recipe_commands.py [--check] [--list]

Family flags (parsers, remote code, tokenizer mode, formats) must be the recipe's wherever it
has them; every other difference is counted with its reason, and listed with `--list`. With
`--check`, exits 1 when fewer than 95 % of the family flags agree, or a difference has no reason.
Runs anywhere: the recipes' facts are in `data/recipe_cases.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.questions.plan import plan_deployment

CASES = Path(__file__).with_name("data") / "recipe_cases.jsonl"
ENOUGH = 0.95
# What a model's family needs wherever it runs.
FAMILY = (
    "--reasoning-parser",
    "--tool-call-parser",
    "--enable-auto-tool-choice",
    "--trust-remote-code",
    "--tokenizer-mode",
    "--config-format",
    "--load-format",
)
_LAYOUT = "the layout is chosen for the GPUs there are, not fixed"
_LIMIT = "written only where it is needed to start or to carry the workload, or asked for"
_TUNING = "tuning for a workload of the recipe's, which a plan leaves to who asks for it"
_FEATURE = "a feature that not every deployment wants; asked for with vllm_args"
_PLATFORM = "depends on kernels of the machine; vLLM chooses one that is there"
_DEFAULT = "what this release does anyway"
# Why a flag of a recipe's is not in a plan's command.
REASONS: Mapping[str, str] = {
    "--tensor-parallel-size": _LAYOUT,
    "--pipeline-parallel-size": _LAYOUT,
    "--data-parallel-size": _LAYOUT,
    "--enable-expert-parallel": _LAYOUT,
    "--distributed-executor-backend": _LAYOUT,
    "--decode-context-parallel-size": _LAYOUT,
    "--max-model-len": _LIMIT,
    "--max-num-seqs": _LIMIT,
    "--max-num-batched-tokens": _LIMIT,
    "--gpu-memory-utilization": _LIMIT,
    "--limit-mm-per-prompt": _LIMIT,
    "--limit-mm-per-prompt.video": _LIMIT,
    "--kv-cache-dtype": "a change of precision is a remedy, said with what it costs",
    "--dtype": "a change of precision is a remedy, said with what it costs",
    "--mamba-ssm-cache-dtype": "a change of precision is a remedy, said with what it costs",
    "--block-size": _PLATFORM,
    "--attention-backend": _PLATFORM,
    "--attention-config": _PLATFORM,
    "--attention-config.use-fp4-indexer-cache": _PLATFORM,
    "--moe-backend": _PLATFORM,
    "--linear-backend": _PLATFORM,
    "--mamba-backend": _PLATFORM,
    "--kernel-config.enable-flashinfer-autotune": _PLATFORM,
    "--enable-flashinfer-autotune": _PLATFORM,
    "--disable-custom-all-reduce": _PLATFORM,
    "--disable-cascade-attn": _PLATFORM,
    "--compilation-config": _TUNING,
    "--enable-prefix-caching": _TUNING,
    "--mamba-cache-mode": _TUNING,
    "--mm-encoder-tp-mode": _TUNING,
    "--mm-processor-cache-type": _TUNING,
    "--mm-processor-cache-gb": _TUNING,
    "--video-pruning-rate": _TUNING,
    "--speculative-config": _TUNING,
    "--async-scheduling": _DEFAULT,
    "--enable-chunked-prefill": _DEFAULT,
    "--allowed-local-media-path": _FEATURE,
    "--media-io-kwargs": _FEATURE,
    "--generation-config": _FEATURE,
    "--reasoning-config": _FEATURE,
    "--served-model-name": _FEATURE,
    "--logits-processors": _FEATURE,
    "--chat-template": "a file of vLLM's source tree, which an installed vLLM has not",
    "--chat-template-content-format": _FEATURE,
    "--reasoning-parser-plugin": "a file of the checkpoint's, which has to be there first",
    "--tool-call-parser-plugin": "a file of the checkpoint's, which has to be there first",
}


# What a family flag hangs on that only its checkpoint has.
_PLUGINS: Mapping[str, str] = {
    "--reasoning-parser": "--reasoning-parser-plugin",
    "--tool-call-parser": "--tool-call-parser-plugin",
    "--enable-auto-tool-choice": "--tool-call-parser-plugin",
}
_NEEDS_PLUGIN = "a parser of a file of the checkpoint's, which has to be there first"
_LOADING = "a quicker way to load; it needs a package that vLLM does not bring"
# What a plan writes for a replica on each of several machines.
_MACHINES = (
    "--data-parallel-size-local",
    "--data-parallel-address",
    "--data-parallel-rpc-port",
    "--nnodes",
    "--node-rank",
    "--master-addr",
)


@dataclass(frozen=True)
class Case:
    """A recipe's checkpoint and arguments on one machine of `counts` cards, tried in order."""

    model: str
    gpu: str
    counts: tuple[int, ...]
    flags: Mapping[str, str]
    release: str
    source: str


@dataclass(frozen=True)
class Difference:
    """A flag that the recipe and the plan do not have alike; "" stands for a switch."""

    flag: str
    recipe: str | None
    plan: str | None
    reason: str | None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when too few agree")
    parser.add_argument("--list", action="store_true", help="list every difference")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    agreed = wanted = unexplained = 0
    for case in read_cases():
        plan, outcome = planned(case)
        outcomes[outcome] += 1
        if plan is None:
            continue
        flags = flags_of(shlex.split(plan.artifacts.serve_command or "")[3:])
        stated = [flag for flag in FAMILY if flag in case.flags]
        wanted += len(stated)
        agreed += sum(flags.get(flag) == case.flags[flag] for flag in stated)
        for difference in differences(case, flags, plan):
            reasons[difference.reason or "no reason is known"] += 1
            unexplained += difference.reason is None
            if options.list or difference.reason is None:
                _print(case, difference)
    share = agreed / max(wanted, 1)
    print(f"{sum(outcomes.values())} machines: " + ", ".join(_counted(outcomes)))
    print(f"family flags: {agreed} of {wanted} are the recipe's ({share:.1%})")
    print("other differences:")
    for line in _counted(reasons):
        print(f"  {line}")
    return 1 if options.check and (share < ENOUGH or unexplained) else 0


def read_cases() -> Iterator[Case]:
    """The machines of all recipes, from the file beside this one."""
    for line in CASES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        flags = flags_of(shlex.split(row["arguments"]))
        for gpu, counts in row["machines"]:
            yield Case(row["model"], gpu, tuple(counts), flags, row["release"], row["source"])


def planned(case: Case) -> tuple[PlanResponse | None, str]:
    """The plan on the first number of GPUs that serves, or what became of it."""
    outcome = "more than a node"
    for gpus in case.counts:
        try:
            plan = plan_deployment(
                PlanRequest(model=case.model, gpu=case.gpu, gpus=gpus, vllm_version=case.release)
            )
        except PreflightError as error:
            return None, error.code
        outcome = plan.verdict.outcome
        if plan.artifacts.serve_command is not None:
            return plan, "a command"
    return None, outcome


def flags_of(words: Sequence[str]) -> dict[str, str]:
    """Flags by their name in vLLM's spelling with their values, as text."""
    found: dict[str, str] = {}
    flag = ""
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            flag = "--" + name[2:].replace("_", "-")
            found[flag] = value
        elif word.startswith("-") and not word[1:2].isdigit():
            flag = word
            found[flag] = ""
        else:
            found[flag] = f"{found.get(flag, '')} {word}".strip()
    return found


def differences(case: Case, flags: Mapping[str, str], plan: PlanResponse) -> Iterator[Difference]:
    """What the recipe and the plan's command do not have alike, with the reason."""
    for flag, value in case.flags.items():
        if flags.get(flag) != value:
            yield Difference(flag, value, flags.get(flag), _why_missing(flag, case))
    told = plan.config.explanations
    for flag in flags.keys() - case.flags.keys():
        reason = told.get(flag[2:].replace("-", "_"))
        if flag in _MACHINES:
            reason = "one line for each of several machines"
        # The figures of each plan are not reasons of their own.
        plain = None if reason is None else re.sub(r"\d[\d,.]*", "N", reason)
        yield Difference(flag, None, flags[flag], plain)


def _why_missing(flag: str, case: Case) -> str | None:
    """Why a recipe's flag is not the plan's."""
    if _PLUGINS.get(flag) in case.flags:
        return _NEEDS_PLUGIN
    if flag == "--load-format":
        return _LOADING
    return REASONS.get(flag) or REASONS.get(flag.replace("--no-", "--", 1))


def _print(case: Case, difference: Difference) -> None:
    recipe = "absent" if difference.recipe is None else difference.recipe or "set"
    plan = "absent" if difference.plan is None else difference.plan or "set"
    reason = difference.reason or "no reason is known"
    print(f"{case.model} on {case.gpu}: {difference.flag}: recipe {recipe}, plan {plan}: {reason}")


def _counted(counts: Counter[str]) -> list[str]:
    return [f"{number} {word}" for word, number in counts.most_common()]


if __name__ == "__main__":
    sys.exit(main())
