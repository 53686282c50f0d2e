"""What a launch has to serve, as the performance model reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests of one typical shape.

    Attributes:
        prompt_tokens: tokens of a prompt.
        gen_tokens: tokens generated per request.
        concurrency: requests in flight at once, over all replicas; each that ends is
            followed by the next. Ignored where `request_rate` is given.
        request_rate: requests that arrive per second, over all replicas.
        target_latency_ms: wanted milliseconds for a whole request.
        prefix_hit_rate: share of the prompt's tokens found in the prefix cache.
        acceptance: probability that a drafted token is accepted; None for the assumed
            one of the drafting method.
    """

    prompt_tokens: int
    gen_tokens: int
    concurrency: float = 1.0
    request_rate: float | None = None
    target_latency_ms: float | None = None
    prefix_hit_rate: float = 0.0
    acceptance: float | None = None

    @property
    def computed_tokens(self) -> float:
        """Prompt tokens that are not in the prefix cache; at least the last one."""
        return max(1.0, self.prompt_tokens * (1 - self.prefix_hit_rate))

    @property
    def mean_context(self) -> float:
        """Tokens a request holds on average while it generates."""
        return self.prompt_tokens + self.gen_tokens / 2
