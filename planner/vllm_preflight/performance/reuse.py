"""What of its prompts a workload finds in the prefix cache, from its shape.

Every request begins with the system prompt; a conversation's next request repeats all that
was said before and adds a message. With T turns, a system prompt of S tokens, messages of u
and answers of g tokens, the mean prompt is S + u (T + 1) / 2 + g (T − 1) / 2, of which all
but the last message was computed before: S + (u + g) (T − 1) / 2. Only whole blocks are
found (vLLM 0.19 v1/core/kv_cache_manager.py, get_computed_blocks).
"""

from __future__ import annotations

from vllm_preflight.base.errors import InvalidRequest


def message_tokens(
    prompt_tokens: int, gen_tokens: int, system_prompt_tokens: int, turns: int
) -> float:
    """Tokens of one message, for prompts of `prompt_tokens` on average over the turns.

    Raises:
        InvalidRequest: the system prompt and the answers leave no token for messages.
    """
    history = gen_tokens * (turns - 1) / 2
    message = (prompt_tokens - system_prompt_tokens - history) * 2 / (turns + 1)
    if message < 1:
        least = system_prompt_tokens + history + (turns + 1) / 2
        raise InvalidRequest(
            f"prompt_tokens is {prompt_tokens:,}, but a system prompt of "
            f"{system_prompt_tokens:,} tokens and {turns} turns with answers of {gen_tokens:,} "
            f"make prompts of at least {least:,.0f} tokens on average.",
            "prompt_tokens is the mean over the turns, with all that was said before: raise it, "
            "or give fewer turns.",
        )
    return message


def hit_rate(
    prompt_tokens: int,
    gen_tokens: int,
    *,
    system_prompt_tokens: int,
    turns: int,
    block_size: int,
) -> float:
    """The share of prompt tokens that are found in the prefix cache, while it keeps them.

    Raises:
        InvalidRequest: the shape leaves no token for messages.
    """
    message = message_tokens(prompt_tokens, gen_tokens, system_prompt_tokens, turns)
    found = 0
    for turn in range(turns):
        before = system_prompt_tokens + turn * (message + gen_tokens)
        found += int(before // block_size) * block_size
    return found / turns / prompt_tokens
