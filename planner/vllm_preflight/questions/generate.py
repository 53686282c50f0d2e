"""generate_artifacts: a checked plan, and the files that run it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

from vllm_preflight.artifacts.bundle import (
    KINDS,
    README_FILE,
    file_name,
    no_form,
    refusal,
    render_kinds,
)
from vllm_preflight.artifacts.deployment import Deployment, describe_deployment, plan_title
from vllm_preflight.artifacts.extra_flags import with_flags
from vllm_preflight.artifacts.machine import UNIT_ENV_FILE
from vllm_preflight.artifacts.profile import Profile, write_profile
from vllm_preflight.artifacts.request import ArtifactKind, ArtifactsReport
from vllm_preflight.artifacts.shell_files import ENV_FILE
from vllm_preflight.base.errors import InvalidRequest, PlanRefused
from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.plan import PlanResponse
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.models.served import load_served
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import Plan, answer_plan, make_plan
from vllm_preflight.recommend.arguments import flags_of_family, written_words

Progress = Callable[[str], None]

PROFILE_FILE = "profile.yaml"
_MANIFESTS = frozenset(
    {
        *("kubernetes.yaml", "leaderworkerset.yaml", "rayservice.yaml", "kserve.yaml"),
        *("helm-values.yaml", "llm-d-values.yaml", "llminferenceservice.yaml"),
    }
)
# What a profile cannot name: GPUs that were found.
_FOUND = ("auto", "fleet:")


def generate_artifacts(
    profile: Profile,
    kinds: Collection[ArtifactKind],
    extra: Sequence[str] = (),
    *,
    progress: Progress | None = None,
) -> ArtifactsReport:
    """Plan, and write the texts of the kinds asked for that apply to the plan.

    `extra` are further words for `vllm serve`: the plan is made with those it knows, and the
    whole command with the others is checked as predict_startup does.

    Raises:
        PlanRefused: the workload does not fit, vLLM would not start, or its files would be
            for another vendor's GPUs; nothing is written for such a plan.
        InvalidRequest: a flag that is refused, or none of the kinds applies.
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    request = with_flags(profile.request, extra)
    hardware = profile.hardware or select_hardware(request)
    model = load_served(request.model, revision=request.revision, progress=progress)
    made = make_plan(request, model=model, hardware=hardware, progress=progress)
    plan = answer_plan(made, whole=False)
    serve_command = _checked_command(plan)
    deployment = describe_deployment(
        made.request,
        plan,
        made.choice.hardware,
        made.arguments,
        shares_experts=made.model.architecture.moe is not None,
        extra=written_words(made.request, made.model, made.choice),
        draft_bytes=_draft_bytes(made),
    )
    if reason := no_form(deployment):
        raise PlanRefused(reason, "Plan for an NVIDIA GPU.")
    warnings = [*plan.warnings, *_check_commands(made, deployment)]
    texts = render_kinds(deployment, kinds)
    skipped = _skipped(deployment, kinds)
    files = {file_name(kind): text for kind, text in texts.items()}
    if "profile" in kinds:
        found = request.gpu.lower().startswith(_FOUND)
        saved = Profile(request, hardware if found else None)
        files[PROFILE_FILE] = write_profile(saved, deployment.summary)
    if not files:
        raise _no_files(skipped)
    return ArtifactsReport(
        verdict=plan.verdict,
        serve_command=serve_command,
        files=files,
        skipped=skipped,
        warnings=warnings,
        next_steps=[
            *_next_steps(deployment, files.keys()),
            *flags_of_family(made.request, made.model, made.choice).steps,
        ],
    )


def _draft_bytes(made: Plan) -> int:
    """Bytes of the draft's checkpoint; 0 without one, or where its size is not known."""
    speculation = made.choice.startup.launch.speculation
    drafter = None if speculation is None else speculation.drafter
    return (drafter.checkpoint_bytes or 0) if drafter is not None else 0


def _check_commands(made: Plan, deployment: Deployment) -> list[str]:
    """Check the commands that are written; what to look out for beside the plan's warnings.

    Raises:
        PlanRefused: one of them would not start for sure.
    """
    known = {*_started(made, deployment.with_extra(())).warnings}
    warnings: list[str] = []
    # Replicas run alone in a cluster, together on a machine.
    for written in (deployment, deployment.replica):
        answer = _started(made, written)
        if not answer.verdict.good:
            raise PlanRefused(
                "No files are written for a command that would fail: "
                f"{answer.command} {answer.verdict.sentence}.",
                "Leave out or change the further flags, or plan with other limits.",
            )
        warnings += [text for text in answer.warnings if text not in (*known, *warnings)]
    return warnings


def _started(made: Plan, deployment: Deployment) -> StartupResponse:
    """What vLLM does with the command, as predict_startup says it."""
    request = made.request
    return predict_startup(
        StartupRequest(
            command=shlex.join(["vllm", "serve", *deployment.serve_words()]),
            gpu=request.gpu,
            vllm_version=request.vllm_version,
            free_vram_gb=request.free_vram_gb,
            calibration=request.calibration,
        ),
        model=made.model,
        hardware=made.choice.hardware,
        whole=False,
    )


def _checked_command(plan: PlanResponse) -> str:
    """The command of a plan that starts for sure; nothing is written for another."""
    if plan.artifacts.serve_command is not None:
        return plan.artifacts.serve_command
    remedies = plan.remedies or []
    hint = f"Plan with {remedies[0].change}." if remedies else "Plan with other GPUs or limits."
    title = plan_title(plan)
    if plan.verdict.outcome == "not_modelled":
        raise PlanRefused(f"No files are written for what nobody here can say. {title}", hint)
    raise PlanRefused(f"No files are written for a plan that would fail. {title}", hint)


def _skipped(deployment: Deployment, kinds: Collection[ArtifactKind]) -> dict[str, str]:
    reasons = {kind: refusal(kind, deployment) for kind in KINDS if kind in kinds}
    return {kind: reason for kind, reason in reasons.items() if reason is not None}


def _no_files(skipped: Mapping[str, str]) -> InvalidRequest:
    reasons = "; ".join(f"{kind}: {reason}" for kind, reason in skipped.items())
    sentence = f"None of the kinds applies to the plan. {reasons}."
    return InvalidRequest(
        sentence if reasons else "No kind of file is asked for.",
        f"Choose among {', '.join(KINDS)}.",
    )


def _next_steps(deployment: Deployment, files: Collection[str]) -> list[str]:
    steps: list[str] = []
    if README_FILE in files:
        steps.append(f"{README_FILE} says in which order the files are used.")
    if not deployment.is_local and not _MANIFESTS.isdisjoint(files):
        steps.append(
            "For a gated model: kubectl create secret generic hf-token --from-literal=HF_TOKEN=…"
        )
    if not {"docker-run.sh", "compose.yaml", "vllm.service"}.isdisjoint(files):
        steps.append(
            "The port is published on 127.0.0.1 only; let others in behind VLLM_API_KEY or a proxy."
        )
    if "vllm.service" in files:
        steps.append(f"The unit reads its variables from {UNIT_ENV_FILE}; copy {ENV_FILE} there.")
    if deployment.is_local:
        steps.append(f"The folder {deployment.model} must be there on every machine.")
    if PROFILE_FILE in files:
        steps.append(f"{PROFILE_FILE} is the profile that asks for this plan again.")
    if "bench.sh" in files:
        steps.append("Once it serves, bench.sh tests what the plan promises.")
    return steps
