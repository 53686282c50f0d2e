"""generate_artifacts: a checked plan, and the files that run it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from vllm_preflight.artifacts.bundle import KINDS, refusal, render_kinds
from vllm_preflight.artifacts.deployment import Deployment, describe_deployment, plan_title
from vllm_preflight.artifacts.machine import UNIT_ENV_FILE
from vllm_preflight.artifacts.profile import Profile, write_profile
from vllm_preflight.artifacts.request import ArtifactKind, ArtifactsReport
from vllm_preflight.artifacts.shell_files import ENV_FILE
from vllm_preflight.base.errors import PlanRefused
from vllm_preflight.contract.plan import PlanResponse
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.models.served import load_served
from vllm_preflight.questions.plan import answer_plan, make_plan

Progress = Callable[[str], None]

PROFILE_FILE = "profile.yaml"
# What a profile cannot name: GPUs that were found.
_FOUND = ("auto", "fleet:")


def generate_artifacts(
    profile: Profile, kinds: Collection[ArtifactKind], *, progress: Progress | None = None
) -> ArtifactsReport:
    """Plan, and write the texts of the kinds asked for that apply to the plan.

    Raises:
        PlanRefused: the workload does not fit or vLLM would not start; nothing is written
            for such a plan.
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    request = profile.request
    hardware = profile.hardware or select_hardware(request)
    model = load_served(request.model, revision=request.revision, progress=progress)
    made = make_plan(request, model=model, hardware=hardware, progress=progress)
    plan = answer_plan(made)
    serve_command = _checked_command(plan)
    deployment = describe_deployment(made.request, plan, made.choice.hardware, made.arguments)
    files = {KINDS[kind].file: text for kind, text in render_kinds(deployment, kinds).items()}
    if "profile" in kinds:
        found = request.gpu.lower().startswith(_FOUND)
        saved = Profile(request, hardware if found else None)
        files[PROFILE_FILE] = write_profile(saved, deployment.summary)
    return ArtifactsReport(
        verdict=plan.verdict,
        serve_command=serve_command,
        files=files,
        skipped=_skipped(deployment, kinds),
        warnings=plan.warnings,
        next_steps=_next_steps(deployment, files.keys()),
    )


def _checked_command(plan: PlanResponse) -> str:
    """The command of a plan that starts for sure; nothing is written for another."""
    if plan.artifacts.serve_command is not None:
        return plan.artifacts.serve_command
    remedies = plan.remedies or []
    hint = f"Plan with {remedies[0].change}." if remedies else "Plan with other GPUs or limits."
    title = plan_title(plan)
    raise PlanRefused(f"No files are written for a plan that would fail. {title}", hint)


def _skipped(deployment: Deployment, kinds: Collection[ArtifactKind]) -> dict[str, str]:
    reasons = {kind: refusal(kind, deployment) for kind in KINDS if kind in kinds}
    return {kind: reason for kind, reason in reasons.items() if reason is not None}


def _next_steps(deployment: Deployment, files: Collection[str]) -> list[str]:
    steps: list[str] = []
    manifests = {"kubernetes.yaml", "leaderworkerset.yaml", "helm-values.yaml", "kserve.yaml"}
    if not deployment.is_local and not manifests.isdisjoint(files):
        steps.append(
            "For a gated model: kubectl create secret generic hf-token --from-literal=HF_TOKEN=…"
        )
    if not {"docker-run.sh", "compose.yaml", "vllm.service"}.isdisjoint(files):
        steps.append(
            "The port is published on 127.0.0.1 only; let others in behind --api-key or a proxy."
        )
    if "vllm.service" in files:
        steps.append(f"The unit reads its variables from {UNIT_ENV_FILE}; copy {ENV_FILE} there.")
    if deployment.is_local:
        steps.append(f"The folder {deployment.model} must be there on every machine.")
    if PROFILE_FILE in files:
        steps.append(f"Plan again with vllm-preflight plan --profile {PROFILE_FILE}.")
    if "bench.sh" in files:
        steps.append("Once it serves, bench.sh tests what the plan promises.")
    return steps
