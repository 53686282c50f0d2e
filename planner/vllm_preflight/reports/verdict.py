"""The verdict of an answer: outcome, sentence, probability and the figures that decide."""

from __future__ import annotations

from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.verdict import Outcome, Verdict
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version
from vllm_preflight.memory.startup import Startup
from vllm_preflight.performance.pooling import Pooling
from vllm_preflight.recommend.choose import Choice
from vllm_preflight.recommend.demand import Demand
from vllm_preflight.recommend.outcome import start_outcome

# From here on a start is likely, below one minus it unlikely, between them a toss-up.
_LIKELY = 0.7
# Rates from here on are told without decimals.
_WHOLE = 10


def plan_verdict(choice: Choice) -> Verdict:
    """The verdict of a choice for the demand it has to carry."""
    if choice.outcome == "queues" and not choice.keeps_up:
        startup = choice.startup
        return _verdict("queues", _falls_behind(choice), startup, _cache(startup, None))
    return held_verdict(choice.startup, choice.demand, choice.held, choice.outcome)


def held_verdict(startup: Startup, demand: Demand, held: int, outcome: Outcome) -> Verdict:
    """The verdict of a launch of which `held` requests of the demand run at once."""
    requests = _requests(demand.concurrency, demand.context)
    flight = " that are then in flight" if demand.rate is not None else ""
    if outcome == "carries":
        whole = "all " if demand.concurrency > 1 else ""
        sentence = f"starts, and holds {whole}{requests}{flight} at once"
    elif outcome == "queues":
        sentence = (
            f"starts, and {held:,} of {requests}{flight} run at once; the others wait"
            if held > 1
            else f"starts, and 1 of {requests}{flight} runs at a time; the others wait"
        )
    elif startup.failure is None and outcome == "does_not_start":
        longest = startup.launch.max_model_len
        sentence = (
            f"does not serve: vLLM would start, but take no request of {demand.context:,} tokens; "
            f"the longest is {longest:,}"
        )
    else:
        sentence = _start_sentence(outcome, startup)
    return _verdict(outcome, sentence, startup, _cache(startup, demand))


def _falls_behind(choice: Choice) -> str:
    """That more requests arrive than are served, where the speed says so."""
    load, rate = choice.load, choice.bench.request.request_rate
    assert load is not None
    served = load.texts_per_s if isinstance(load, Pooling) else load.requests_per_s
    about = f"{served:,.0f}" if served >= _WHOLE else f"{served:.2g}"
    return (
        f"starts, but serves about {about} of the {rate:g} requests of "
        f"{choice.demand.context:,} tokens that arrive in a second: the queue grows without end"
    )


def start_verdict(startup: Startup) -> Verdict:
    """The verdict of a launch for which no workload was given."""
    outcome = start_outcome(startup)
    return _verdict(outcome, _start_sentence(outcome, startup), startup, _cache(startup, None))


def refusal_sentence(version: Version, message: str, *, assumed: bool) -> str:
    """What vLLM of that release says against a launch; whether it was asked about is said."""
    release = f"vLLM {format_version(version)}{' (assumed, none was given)' if assumed else ''}"
    return f"refused: {release} stops with: {message}"


def _verdict(outcome: Outcome, sentence: str, startup: Startup, because: str | None) -> Verdict:
    if outcome in ("refused", "not_modelled"):
        because = _at_most(startup)
    return Verdict(
        outcome=outcome,
        sentence=sentence,
        start_probability=startup.start_probability if outcome != "not_modelled" else None,
        because=because,
    )


def _chance(probability: float) -> str:
    if probability >= _LIKELY:
        return "likely, not sure: it starts with a probability"
    if probability > 1 - _LIKELY:
        return "a toss-up: it starts with a probability"
    return "unlikely: it starts with a probability"


def _start_sentence(outcome: Outcome, startup: Startup) -> str:
    failure, kv = startup.failure, startup.kv
    said = "" if failure is None else failure.message
    if outcome == "refused":
        launch = startup.launch
        return refusal_sentence(launch.version, said, assumed=launch.version_assumed)
    if outcome == "not_modelled":
        return f"not modelled: {said}"
    if outcome == "borderline":
        return f"{_chance(startup.start_probability)} of {startup.start_probability:.0%}" + (
            f"; else {said[0].lower()}{said[1:]}" if said else ""
        )
    if outcome == "does_not_start":
        return f"does not start: {said}" if said else "does not start"
    if kv.tokens is None or kv.max_concurrency is None:
        return "starts; the model caches nothing between requests"
    length = startup.launch.max_model_len
    return (
        f"starts, with {kv.tokens:,} tokens of KV cache: {kv.max_concurrency:.2f} requests of "
        f"{length:,} tokens at once"
    )


def _cache(startup: Startup, demand: Demand | None) -> str | None:
    """The KV cache of one GPU with its interval, beside what the requests need."""
    if startup.failure is not None and startup.failure.kind == "free_memory_below_request":
        return _free(startup)
    tokens = startup.kv.tokens
    # Of AMD's vLLM no other figure is known.
    if tokens is None or not platform_of(startup.gpu).modelled:
        return None
    if startup.available_bytes <= 0:
        beside = bytes_to_gib(startup.runtime.budget_bytes)
        return (
            f"weights {bytes_to_gib(startup.weights.fullest.allocated)} GiB and {beside} GiB "
            f"beside them on each GPU, of {bytes_to_gib(startup.requested_bytes)} GiB that vLLM "
            "may take"
        )
    low, high = startup.available_interval
    text = (
        f"KV cache {bytes_to_gib(startup.available_bytes)} GiB per GPU "
        f"(80 %: {bytes_to_gib(low)} to {bytes_to_gib(high)})"
    )
    if startup.failure is None:
        text += f" holds {tokens:,} tokens"
        replicas = startup.launch.data_parallel_size
        text += f" in each of {replicas} replicas" if replicas > 1 else ""
        if demand is None and start_outcome(startup) == "borderline":
            needed = bytes_to_gib(startup.kv.admission_bytes)
            text += f"; one request of {startup.launch.max_model_len:,} needs {needed} GiB"
    else:
        text += _as_vllm_compares(startup)
    if demand is not None:
        several = demand.concurrency > 1
        need = demand.concurrency * demand.context
        text += f"; {demand.concurrency:,} request{'s need' if several else ' needs'} {need:,}"
    return text


def _as_vllm_compares(startup: Startup) -> str:
    """The figure of vLLM's message, where it is not that of the emptiest GPU."""
    compared = bytes_to_gib(startup.kv.admissible_bytes)
    if compared < bytes_to_gib(startup.available_bytes):
        return f", {compared} of it without the block that vLLM keeps for itself"
    if compared > bytes_to_gib(startup.available_bytes):
        return f"; all stages get the blocks that {compared} GiB of the largest hold"
    return ""


def _at_most(startup: Startup) -> str | None:
    """The cache that is surely not exceeded, where that much is known; no prediction."""
    most = startup.most
    if most is None or most.tokens is None:
        return None
    share, total = startup.launch.gpu_memory_utilization, startup.gpu.visible_bytes
    whole = "" if most.fits else f", less than one request of {startup.launch.max_model_len:,}"
    if startup.launch.kv_cache_memory_bytes is not None:
        return f"the KV cache that is asked for holds {most.tokens:,} tokens{whole}"
    room = bytes_to_gib(max(startup.requested_bytes - startup.weights.fullest.allocated, 0))
    return (
        f"KV cache at most {room} GiB per GPU, {most.tokens:,} tokens{whole}: what {share:g} of "
        f"{bytes_to_gib(total)} GiB leaves beside the weights. A bound, no prediction: what ROCm "
        "needs comes off it"
    )


def _free(startup: Startup) -> str:
    """What is free of one GPU's memory, beside what vLLM asks for before it loads."""
    total = startup.gpu.visible_bytes
    free = total if startup.launch.free_bytes is None else min(startup.launch.free_bytes, total)
    return (
        f"others hold {bytes_to_gib(total - free)} of {bytes_to_gib(total)} GiB of each GPU, which "
        f"leaves {bytes_to_gib(free)}; vLLM asks for {bytes_to_gib(startup.requested_bytes)}"
    )


def _requests(count: int, tokens: int) -> str:
    return f"{count:,} request{'s' * (count != 1)} of {tokens:,} tokens"
