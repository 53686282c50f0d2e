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
        target_latency_ms, target_ttft_ms, target_tpot_ms: wanted milliseconds for a whole
            request, to its first token, and from token to token.
        target_percentile: which of the requests must be within them; None for the mean.
        prefix_hit_rate: share of the prompt's tokens found in the prefix cache.
        system_prompt_tokens: tokens every prompt begins with.
        turns: requests of a conversation, each of which repeats what was said before.
        waves: how many times the requests in flight a benchmark sends; None for a load
            that lasts.
        acceptance: probability that a drafted token is accepted; None for the assumed
            one of the drafting method.
    """

    prompt_tokens: int
    gen_tokens: int
    concurrency: float = 1.0
    request_rate: float | None = None
    target_latency_ms: float | None = None
    target_ttft_ms: float | None = None
    target_tpot_ms: float | None = None
    target_percentile: int | None = None
    prefix_hit_rate: float = 0.0
    system_prompt_tokens: int = 0
    turns: int = 1
    waves: float | None = None
    acceptance: float | None = None

    @property
    def computed_tokens(self) -> float:
        """Prompt tokens that are not in the prefix cache; at least the last one."""
        return max(1.0, self.prompt_tokens * (1 - self.prefix_hit_rate))

    @property
    def mean_context(self) -> float:
        """Tokens a request holds on average while it generates."""
        return self.prompt_tokens + self.gen_tokens / 2

    @property
    def has_target(self) -> bool:
        """Whether any time is wanted."""
        return any((self.target_latency_ms, self.target_ttft_ms, self.target_tpot_ms))
