"""Models against cards as a pandas table: pip install pandas, then run this file."""

from __future__ import annotations

import pandas as pd

import vllm_preflight as vp

MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "openai/gpt-oss-120b")
CARDS = ("RTX 4090", "L40S", "H100")


def main() -> None:
    """Print which card carries which model."""
    rows: list[dict[str, object]] = []
    for model in MODELS:
        for card in CARDS:
            plan = vp.plan(model=model, gpu=card, gpus=1, concurrency=8)
            rows.append(
                {
                    "model": model,
                    "card": card,
                    "outcome": plan.verdict.outcome,
                    "KV tokens": plan.startup.kv_cache_tokens,
                }
            )
    table = pd.DataFrame(rows).pivot(index="model", columns="card", values="outcome")
    print(table.loc[list(MODELS), list(CARDS)].to_string())


if __name__ == "__main__":
    main()
