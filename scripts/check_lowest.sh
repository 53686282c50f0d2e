#!/usr/bin/env bash
# The oldest versions that pyproject.toml allows, installed, and the tests that touch them run.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

uv pip compile -q --resolution lowest-direct --no-header --no-annotate pyproject.toml \
    -o "$work/lowest.txt"
uv venv -q --seed "$work/venv"
"$work/venv/bin/pip" install -q -r "$work/lowest.txt" 'pytest>=9.0' 'hypothesis>=6.140'
"$work/venv/bin/pip" install -q --no-deps .
grep -E '^(anyio|google-re2|h11|huggingface|mcp|pydantic|starlette|uvicorn)' "$work/lowest.txt"
"$work/venv/bin/python" -m pytest -q -p no:cacheprovider \
    -W ignore::DeprecationWarning \
    tests/server/web/test_http.py tests/server/mcp/test_stdio.py tests/server/hostile/test_stdio.py \
    tests/models/test_hub.py tests/base/test_patterns.py
