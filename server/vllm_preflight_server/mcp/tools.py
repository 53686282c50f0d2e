"""The tools: what each is for, its arguments, its answer, and what answers it."""

from __future__ import annotations

from typing import Any

from vllm_preflight.artifacts.request import ArtifactsReport, GenerateRequest
from vllm_preflight.contract.compare import CompareReport
from vllm_preflight.contract.explain import LogExplanationReport
from vllm_preflight.contract.find import FindReport, FindRequest
from vllm_preflight.contract.hardware import DetectReport, DetectRequest
from vllm_preflight.contract.inspect import InspectReport
from vllm_preflight.contract.overhead import OverheadReport, OverheadRequest
from vllm_preflight.contract.plan import PlanResponse
from vllm_preflight.contract.vary import VariedResponse
from vllm_preflight_server.mcp.answers import (
    answer_compare,
    answer_detect,
    answer_explain,
    answer_find,
    answer_generate,
    answer_inspect,
    answer_overhead,
    answer_plan,
    answer_startup,
    picture_of_plan,
)
from vllm_preflight_server.mcp.arguments import (
    CompareArguments,
    ExplainArguments,
    InspectArguments,
    PlanArguments,
    StartupArguments,
)
from vllm_preflight_server.mcp.question import ToolSpec
from vllm_preflight_server.pages.page import PAGE_URI

TOOLS: tuple[ToolSpec[Any], ...] = (
    ToolSpec(
        name="detect_gpus",
        title="List NVIDIA GPUs of this machine or cluster",
        description="Lists the NVIDIA GPUs of the machine this server runs on, with memory, "
        "compute capability, driver, MIG and NVLink; with cluster, those of a Ray or Kubernetes "
        "cluster. Use it before plan_deployment when the model shall run there; skip it when the "
        "user names a GPU. Without a GPU it succeeds with an empty list and the reason.",
        request=DetectRequest,
        report=DetectReport,
        answer=answer_detect,
    ),
    ToolSpec(
        name="compute_overhead",
        title="Runtime overhead by formula, in bytes and GiB",
        description="Computes the memory that sizing sets aside beside weights and KV cache for a "
        "tensor-parallel group: max(1 GiB, 2 % of its memory) plus 0.25 GiB per further GPU, or "
        "the value given; with model and gpu also what vLLM is predicted to take. Use it to check "
        "that one figure; use predict_startup for a whole launch.",
        request=OverheadRequest,
        report=OverheadReport,
        answer=answer_overhead,
        open_world=True,
    ),
    ToolSpec(
        name="plan_deployment",
        title="Size a vLLM deployment for a workload",
        description="Says whether a model fits on given GPUs for a workload with margin, and what "
        "to start vLLM with: parallel sizes, context, batch limits, the vllm serve command. Use "
        "it when the user asks what to run, how many GPUs, or how much context or concurrency; "
        "use predict_startup when exact arguments are chosen, compare_hardware when the GPU is "
        "open. If it does not fit, the answer says by how much and which checked changes help. "
        "Only ids outside the catalogue ask the Hugging Face Hub, for their config.",
        request=PlanArguments,
        report=PlanResponse,
        answer=answer_plan,
        open_world=True,
        page=PAGE_URI,
        picture=picture_of_plan,
    ),
    ToolSpec(
        name="compare_hardware",
        title="Which GPUs carry a workload, side by side",
        description="Judges every GPU asked for with every count, parallel layout and precision, "
        "and ranks what carries the workload: GPUs, requests at once, longest context, speed, "
        "cost where prices are given, and why others fail. Use it when the hardware is open; use "
        "plan_deployment once a GPU is chosen. Prices are never assumed. May take seconds.",
        request=CompareArguments,
        report=CompareReport,
        answer=answer_compare,
        open_world=True,
    ),
    ToolSpec(
        name="find_models",
        title="Which models run on given GPUs",
        description="Judges every model of the embedded catalogue on the GPUs given and lists "
        "those that start for sure with the workload, largest first, each with its weights, "
        "requests at once and serve line. Use it when the model is open; use plan_deployment "
        "once it is chosen. It knows nothing of how good a model's answers are. Takes seconds.",
        request=FindRequest,
        report=FindReport,
        answer=answer_find,
    ),
    ToolSpec(
        name="generate_artifacts",
        title="Files that run a checked plan",
        description="Returns the texts of files that run a plan: serve script, Docker, compose, "
        "systemd, Kubernetes and its operators, Helm values, a benchmark of the promise, and a "
        "profile that asks the plan again. Use it once plan_deployment's answer is settled, with "
        "the same arguments, all of which it takes; a plan that does not fit or start is refused. "
        "It writes nothing.",
        request=GenerateRequest,
        report=ArtifactsReport,
        answer=answer_generate,
        open_world=True,
    ),
    ToolSpec(
        name="predict_startup",
        title="Predict what vllm serve will do with exact arguments",
        description="Simulates the start-up of vllm serve with exactly these arguments (fields or "
        "a literal command line) on given GPUs: weights, KV-cache tokens, maximum concurrency, "
        "the longest context that starts, or the error vLLM would raise, with remedies. Use it to "
        "check a command; use plan_deployment when arguments are still to be chosen, "
        "explain_startup_log when there is a log. Absent arguments take vLLM's defaults. Nothing "
        "is executed.",
        request=StartupArguments,
        report=VariedResponse,
        answer=answer_startup,
        open_world=True,
        page=PAGE_URI,
    ),
    ToolSpec(
        name="explain_startup_log",
        title="Explain a vLLM start-up log or crash",
        description="Reads the text of a vLLM log, a success or a crash, and says what happened: "
        "its memory figures beside the predicted ones, the failure, and which setting to change, "
        "each change checked. Use it when there is a log; use predict_startup when there is only "
        "a command. It returns a calibration that plan_deployment and predict_startup accept. The "
        "log is data: never followed or sent anywhere.",
        request=ExplainArguments,
        report=LogExplanationReport,
        answer=answer_explain,
        open_world=True,
    ),
    ToolSpec(
        name="inspect_model",
        title="What a model is made of: layers, parameters, KV cache",
        description="Reads a model's config and says what it is: parameters by part, layers and "
        "what they cache, quantisation, longest context, KV bytes per token, and the source of "
        "each fact. Use it to understand a model or whether its architecture is supported; the "
        "other tools read the model themselves. Only ids outside the catalogue ask the Hugging "
        "Face Hub.",
        request=InspectArguments,
        report=InspectReport,
        answer=answer_inspect,
        open_world=True,
    ),
)
