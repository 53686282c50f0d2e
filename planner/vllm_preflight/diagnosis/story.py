"""What a log shows, told in one paragraph."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vllm_preflight.base.text import quoted
from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.explain import TermComparison
from vllm_preflight.logs.causes import Cause, cause_of
from vllm_preflight.logs.startup_log import FailureKind, LogFailure, StartupLog

_NOTHING = "nothing of vLLM's"
_LACKS_STACK = "log lacks the stack that would prove it"
_NAMES = {
    "weights_gib": "weights",
    "activation_peak_gib": "activation peak",
    "non_torch_gib": "non-torch memory",
    "cuda_graph_gib": "CUDA graphs",
    "available_kv_cache_gib": "memory for the KV cache",
}


def tell(
    log: StartupLog,
    predicted: StartupReport | None,
    largest: TermComparison | None,
    remedies: list[str],
    reasons: str = "",
) -> str:
    """What happened, how it compares with the prediction, and which setting to change."""
    sentences = [_what_happened(log)]
    # Beside a refusal that has nothing to do with memory the figures say nothing.
    if not (log.failure and log.failure.kind in _PROBLEMS):
        sentences += [*_comparison(log, predicted, largest), reasons[:1].upper() + reasons[1:]]
    if log.failure and log.outcome in ("failed", "started_then_failed"):
        tried = predicted is not None and log.outcome == "failed"
        sentences.append(_advice(log.failure, remedies) if tried else _own_advice(log.failure))
    sentences += [told_of(cause) for name in log.symptoms if (cause := cause_of(name))]
    return " ".join(sentence for sentence in sentences if sentence)


def told_of(cause: Cause) -> str:
    """A cause with its remedy and where that is set."""
    return f"{cause.cause}. {cause.remedy} ({cause.setting})."


def name_difference(row: TermComparison) -> str:
    """The term that differs most, with both figures."""
    return (
        f"{_NAMES[row.term]}: {row.logged:.2f} GiB logged, {row.predicted:.2f} GiB predicted "
        f"({row.difference:+.2f})"
    )


def _what_happened(log: StartupLog) -> str:
    who = f"vLLM {log.version}" if log.version else "vLLM"
    what = f" {_name(log.model)}" if log.model else " a model"
    above = cause_of(log.consequence) if log.consequence else None
    if log.outcome == "unknown" and above is not None:
        whose = f" with{what}" if log.model else ""
        return (
            f"{who} failed{whose}, and what is given does not say why: such lines end every "
            f"failure. {above.cause}. {above.remedy}."
        )
    if log.outcome == "unknown":
        reached = (
            "the engine finished its warm-up: it started but for the API server"
            if log.engine_ready
            else f"it ends after {_last_phase(log)}"
        )
        return (
            f"The log does not show whether {who} started{what}: it has neither a success line "
            f"nor a fatal error; {reached}."
        )
    if log.outcome == "started":
        return f"{who} started{what}.{_capacity(log)}"
    if log.outcome == "started_then_failed":
        why = _failure(log.failure) if log.failure else "Why stands above what is given."
        return f"{who} started{what} and failed later, while serving. {why}"
    reason = _failure(log.failure) if log.failure else ""
    if log.failure and not log.failure.certain:
        proof = "line alone does not prove it" if log.failure.cause else _LACKS_STACK
        reason = f"{reason} That is the likeliest; the {proof}."
    if _may_have_served(log):
        return f"{who} failed, at its start or later: the text does not show which. {reason}"
    return f"{who} did not start{what}. {reason}".rstrip()


def _may_have_served(log: StartupLog) -> bool:
    """Whether nothing shows at what time it failed, and the failure is one of any time."""
    if log.failure is None or log.failure.phase or _last_phase(log) != _NOTHING:
        return False
    cause = cause_of(log.failure.cause) if log.failure.cause else None
    return log.failure.kind == "out_of_memory" if cause is None else cause.when != "start"


def _name(model: str) -> str:
    """The model as the log names it; quoted where that looks like no name."""
    return model if re.fullmatch(r"[\w./~@:+-]{1,200}", model) else quoted(model)


def _last_phase(log: StartupLog) -> str:
    if log.kv_cache_tokens or log.num_gpu_blocks:
        return "the KV cache was sized"
    if log.weights_gib is not None:
        return "the weights were loaded"
    return "the arguments were read" if log.arguments or log.model else _NOTHING


def _capacity(log: StartupLog) -> str:
    if log.available_kv_gib is None and log.kv_cache_tokens is None:
        return ""
    parts: list[str] = []
    if log.available_kv_gib is not None:
        parts.append(f"{log.available_kv_gib:.2f} GiB per GPU for the KV cache")
    if log.kv_cache_tokens is not None:
        parts.append(f"{log.kv_cache_tokens:,} tokens")
    if log.max_concurrency is not None and log.max_concurrency_at is not None:
        parts.append(f"{log.max_concurrency:g} requests of {log.max_concurrency_at:,} tokens")
    return f" It had {', '.join(parts)}."


_PLAIN_KINDS: Mapping[FailureKind, str] = {
    "out_of_memory_after_sizing": "It ran out of GPU memory after the KV cache was sized: warm-up "
    "and CUDA graphs take memory outside the share that gpu_memory_utilization sets.",
    "out_of_memory": "It ran out of GPU memory at a point that the log does not show.",
}
_PROBLEMS: Mapping[FailureKind, str] = {
    "invalid_arguments": "vLLM refused the arguments",
    "unsupported": "This release cannot run the model",
    "other": "It failed with an error that is none of vLLM's memory checks",
}


def _failure(failure: LogFailure) -> str:
    cause = cause_of(failure.cause) if failure.cause else None
    if cause is not None:
        return f'{cause.cause}: "{failure.message}".'
    if failure.kind == "out_of_memory_after_sizing" and failure.phase == "serving":
        return (
            "It ran out of GPU memory under load: requests needed more than was left outside the "
            "share that gpu_memory_utilization sets."
        )
    if failure.kind in _PLAIN_KINDS:
        return _PLAIN_KINDS[failure.kind]
    if failure.kind in _PROBLEMS:
        told = f'"{failure.message}"' if failure.message else "it does not say why"
        return f"{_PROBLEMS[failure.kind]}: {told}."
    figures = failure.figures
    match failure.kind:
        case "free_memory_below_request":
            if {"free_gib", "requested_gib"} <= set(figures):
                return (
                    f"Only {figures['free_gib']:g} GiB were free, but gpu_memory_utilization "
                    f"asked for {figures['requested_gib']:g} GiB: other processes hold the rest."
                )
            return "Less memory was free than gpu_memory_utilization asked for."
        case "weights_do_not_fit":
            where = (
                "in the profiling run, before the KV cache was sized"
                if failure.phase == "profiling"
                else "while the weights were loaded"
            )
            return f"It ran out of GPU memory {where}."
        case "no_kv_cache_memory":
            return "Weights and runtime memory left nothing for the KV cache."
        case "kv_cache_too_small":
            return _too_small(failure)
        case _:
            blocks, seqs = figures.get("mamba_blocks"), figures.get("max_num_seqs")
            counts = f" ({blocks:g} for {seqs:g})" if blocks and seqs else ""
            return f"There were fewer state blocks than max_num_seqs{counts}."


def _too_small(failure: LogFailure) -> str:
    figures = failure.figures
    length = figures.get("max_model_len")
    request = f"one request of {length:,.0f} tokens" if length else "one request of full length"
    if "kv_needed_gib" in figures and "available_kv_gib" in figures:
        sizes = f" needs {figures['kv_needed_gib']:g} GiB, {figures['available_kv_gib']:g} GiB are"
        return f"The KV cache was too small: {request}{sizes} left."
    if "kv_cache_tokens" in figures:
        return (
            f"The KV cache was too small: {figures['kv_cache_tokens']:,.0f} tokens, for {request}."
        )
    return f"The KV cache was too small for {request}."


def _comparison(
    log: StartupLog, predicted: StartupReport | None, largest: TermComparison | None
) -> list[str]:
    if predicted is None:
        return []
    sentences: list[str] = []
    if log.outcome == "started" and not predicted.starts and predicted.failure:
        sentences.append(f"Predicted was a failure ({predicted.failure.kind}).")
    if log.outcome == "failed" and predicted.starts:
        sentences.append("The prediction without the log's figures is that it starts.")
    if log.failure and log.failure.phase == "loading" and predicted.starts:
        sentences.append(
            f"The weights should take {predicted.weights_gib:.2f} GiB per GPU; look for other "
            "processes that hold memory."
        )
    if largest:
        outside = largest.term == "cuda_graph_gib" and predicted.cuda_graph_charged is False
        note = "; in this release graphs take nothing from the KV cache" if outside else ""
        sentences.append(
            f"What differs most from the prediction is {name_difference(largest)}{note}."
        )
    elif predicted.weights_gib is not None and log.weights_gib is not None:
        sentences.append(
            "No memory term that the log shows differs noticeably from the prediction."
        )
    return sentences


_DIRECTIONS: Mapping[FailureKind, str] = {
    "free_memory_below_request": "Stop the other processes on the GPU (nvidia-smi lists them), or "
    "lower gpu_memory_utilization",
    "weights_do_not_fit": "Use more GPUs (tensor_parallel_size) or a quantised checkpoint",
    "no_kv_cache_memory": "Raise gpu_memory_utilization, lower max_num_batched_tokens and "
    "max_num_seqs, or use more GPUs",
    "kv_cache_too_small": "Lower max_model_len or raise gpu_memory_utilization",
    "mamba_blocks_too_few": "Lower max_num_seqs or raise gpu_memory_utilization",
    "out_of_memory_after_sizing": "Lower gpu_memory_utilization or max_num_seqs",
    "out_of_memory": "Lower max_num_seqs and max_num_batched_tokens, or use more GPUs",
}


def _own_advice(failure: LogFailure) -> str:
    """The direction to go in, where nothing could be simulated, with the log's own figure."""
    if failure.cause:
        return _cause_advice(failure)
    if failure.kind in _PROBLEMS:
        return _NO_SETTING
    figures, flag = failure.figures, ""
    if failure.kind == "kv_cache_too_small" and "estimated_max_model_len" in figures:
        flag = f"--max-model-len {figures['estimated_max_model_len']:.0f} by vLLM's own estimate"
    elif failure.kind == "mamba_blocks_too_few" and "mamba_blocks" in figures:
        flag = f"--max-num-seqs {figures['mamba_blocks']:.0f} by vLLM's own count"
    elif failure.kind == "free_memory_below_request" and figures.get("total_gib"):
        share = int(100 * figures.get("free_gib", 0) / figures["total_gib"]) / 100
        flag = f"--gpu-memory-utilization {share:g} by the memory that was free"
    # Batches set what the profiling run needs.
    kind = "out_of_memory" if failure.phase == "profiling" else failure.kind
    end = f": {flag}." if flag else "."
    return f"{_DIRECTIONS[kind]}{end} Nothing of this was simulated."


_NO_SETTING = "No memory setting helps; correct what that says."


def _cause_advice(failure: LogFailure) -> str:
    """What the catalogue of causes says to do."""
    cause = cause_of(failure.cause)
    if cause is None:
        return ""
    memory = "" if failure.kind == "other" else " No memory setting helps."
    return f"{cause.remedy} ({cause.setting}).{memory if failure.kind in _PROBLEMS else ''}"


def _advice(failure: LogFailure, remedies: list[str]) -> str:
    if failure.cause:
        return _cause_advice(failure)
    if remedies:
        others = f" (or {', or '.join(remedies[1:4])})" if len(remedies) > 1 else ""
        return f"Change: {remedies[0]}{others}."
    if failure.kind in _PROBLEMS:
        return _NO_SETTING
    if failure.kind in ("free_memory_below_request", "no_kv_cache_memory"):
        return f"{_DIRECTIONS[failure.kind]}."
    return "No single setting was found with which it would start; use more or larger GPUs."
