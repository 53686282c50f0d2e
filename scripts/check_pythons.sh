#!/usr/bin/env bash
# A wheel, installed with pip on each newer Python that is here, plans and serves without a
# warning. Those looked for are on PATH or under pyenv; one that is not there is said and left out.
set -euo pipefail
cd "$(dirname "$0")/.."
wheel=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A pyenv shim is on PATH for versions that are not selected, and fails.
found() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
            echo "$candidate"
            return
        fi
    done
}

for version in 3.12 3.13 3.14; do
    python=$(found "$version")
    if [ -z "$python" ]; then
        echo "skipped: there is no Python $version here"
        continue
    fi
    "$python" -m venv "$work/$version"
    "$work/$version/bin/pip" install -q "$wheel"
    product=(env HF_HUB_OFFLINE=1 PYTHONWARNINGS=error "$work/$version/bin/vllm-preflight")
    "${product[@]}" plan Qwen/Qwen3-32B --gpu H100 --concurrency 16 >"$work/said" 2>&1
    grep -q '^  vllm serve Qwen/Qwen3-32B' "$work/said"
    "$work/$version/bin/python" tests/interop/raw.py - "${product[@]}" serve >>"$work/said" 2>&1
    if grep -q 'Warning:' "$work/said"; then cat "$work/said" && exit 1; fi
    echo "ok Python $version: installed, planned, served"
done
