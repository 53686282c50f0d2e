"""How long a comparison of cards takes, and that it agrees with the plan of its best card.

    python benchmarks/search_speed.py [--check]

With `--check`, exits 1 when one is over its limit of CPU time or disagrees.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.yardstick import slowness

from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.compare import compare_hardware
from vllm_preflight.questions.plan import plan_deployment

LONGEST_S = 4.0
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"model": "Qwen/Qwen3-32B", "concurrency": 8},
    {
        "model": "meta-llama/Llama-3.3-70B-Instruct",
        "concurrency": 32,
        "prompt_tokens": 8_000,
        "gen_tokens": 1_000,
    },
    {"model": "deepseek-ai/DeepSeek-R1", "concurrency": 16, "max_gpus": 16},
    {"model": "openai/gpt-oss-120b", "concurrency": 64, "gpus": "all"},
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 over a limit")
    check = parser.parse_args().check
    kept = True
    for question in QUESTIONS:
        request = validate_request(CompareRequest, question)
        started = time.process_time()
        report = compare_hardware(request)
        taken = time.process_time() - started
        best = report.best
        same = best is not None and report.serve_command == planned(question, best)
        kept &= same and taken <= LONGEST_S * slowness()
        chosen = "none" if best is None else f"{best.gpus} × {best.gpu}"
        agreed = "as plan says" if same else "NOT AS PLAN SAYS"
        print(f"{question['model']:<36} {taken:6.2f} s  {chosen:<36} {agreed}")
    return 1 if check and not kept else 0


def planned(question: dict[str, Any], best: Any) -> str | None:
    """The command of plan_deployment for the comparison's best row."""
    names = PlanRequest.model_fields.keys() & question.keys() - {"gpus"}
    fields = {name: question[name] for name in names}
    fields |= {"model": best.checkpoint, "gpu": best.gpu, "gpus": best.gpus}
    if best.checkpoint == question["model"] and "online" in best.precision:
        fields["quantization"] = "fp8"
    request = validate_request(PlanRequest, fields)
    return plan_deployment(request).artifacts.serve_command


if __name__ == "__main__":
    sys.exit(main())
