#!/usr/bin/env bash
# The first GPU of a list on which a model carries a workload, from a shell.
# Needs vllm-preflight and jq. usage: smallest_gpu.sh [MODEL [CONCURRENCY]]
set -euo pipefail

model=${1:-Qwen/Qwen3-32B}
concurrency=${2:-16}

for gpu in 'RTX 4090' L40S 'A100 80GB' H100 H200; do
    question=$(jq -n --arg model "$model" --arg gpu "$gpu" --argjson concurrency "$concurrency" \
        '{model: $model, gpu: $gpu, gpus: 1, concurrency: $concurrency}')
    answer=$(vllm-preflight call plan_deployment "$question")
    jq -r --arg gpu "$gpu" '"\($gpu): \(.verdict.sentence)"' <<<"$answer"
    if jq -e '.verdict.outcome == "carries"' <<<"$answer" >/dev/null; then
        jq -r '"\n\(.artifacts.serve_command)"' <<<"$answer"
        exit 0
    fi
done
echo "None of these GPUs alone carries $model." >&2
exit 1
