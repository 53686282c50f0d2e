"""What has to be carried: requests of one length, so many at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.inputs import WorkloadInput
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.models.model import Model

_LENGTHS = ("prompt_tokens", "gen_tokens")


@dataclass(frozen=True)
class Demand:
    """`concurrency` requests at once, each reckoned with `context` tokens of KV cache.

    Attributes:
        typical: prompt and output of one request together.
        longest: the longest request asked for; None leaves the length to the model.
        rate: requests that arrive per second, where they and not a number in flight were
            asked for: `concurrency` is then what a layout has in flight.
        assumed: what the request did not say and was filled in, for people.
    """

    prompt_tokens: int
    gen_tokens: int
    concurrency: int
    longest: int | None = None
    rate: float | None = None
    assumed: tuple[str, ...] = ()

    @property
    def typical(self) -> int:
        """Tokens of a request of the workload."""
        return self.prompt_tokens + self.gen_tokens

    @property
    def context(self) -> int:
        """Tokens each request is given: its full length where one was asked for."""
        return self.longest or self.typical


def fit_workload(model: Model, request: PlanRequest) -> PlanRequest:
    """The request with workload lengths that the model can take, where none were given.

    An encoder reads and generates nothing; a short model gets a shorter default workload.

    Raises:
        InvalidRequest: the lengths that were given are longer than the model takes.
    """
    limit = request.max_model_len or model.architecture.max_position
    given = request.model_fields_set & set(_LENGTHS)
    prompt, output = request.prompt_tokens, request.gen_tokens
    if generates_nothing(model) and "gen_tokens" not in given:
        prompt, output = prompt if "prompt_tokens" in given else min(prompt, limit), 0
    elif not given and request.max_model_len is None and prompt + output > limit:
        output = limit // 3
        prompt = limit - output
    if prompt + output > limit:
        why = " as max_model_len says" if request.max_model_len else ""
        raise InvalidRequest(
            f"prompt_tokens + gen_tokens is {prompt + output:,}, but {model.id} takes at most "
            f"{limit:,} tokens{why}.",
            "Lower one of them.",
        )
    if (prompt, output) == (request.prompt_tokens, request.gen_tokens):
        return request
    return request.model_copy(update={"prompt_tokens": prompt, "gen_tokens": output})


def demand_of(model: Model, request: PlanRequest) -> Demand:
    """What `request`, whose lengths fit the model, has to carry."""
    given = request.model_fields_set
    by_rate = request.request_rate is not None and "concurrency" not in given
    assumable = _LENGTHS if by_rate else (*_LENGTHS, "concurrency")
    assumed = [
        f"{name} {getattr(request, name):,}"
        for name in WorkloadInput.model_fields
        if name in assumable and name not in given
    ]
    return Demand(
        prompt_tokens=request.prompt_tokens,
        gen_tokens=request.gen_tokens,
        concurrency=request.concurrency,
        longest=request.max_model_len,
        rate=request.request_rate if by_rate else None,
        assumed=tuple(assumed),
    )


def generates_nothing(model: Model) -> bool:
    """Whether the model only embeds, scores or classifies."""
    return model.architecture.embeds


def with_runner(model: Model, runner: object) -> Model:
    """The model as a `--runner` that was asked for uses it; itself where none was."""
    if runner == "pooling" and not model.architecture.embeds:
        return replace(model, architecture=replace(model.architecture, task="embed"))
    if runner == "generate" and model.architecture.embeds:
        generating = replace(model.architecture, task="generate", pools_since=None)
        return replace(model, architecture=generating)
    return model
