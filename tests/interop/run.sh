#!/usr/bin/env bash
# Independent clients against the product, over stdio and over HTTP with two workers: each
# lists tools, plans a model of the catalogue on an H100, makes a mistake and reads what to
# correct. Needs the product installed for `python` on PATH, and npm.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/node/env.sh

# SDK 1 cannot be installed beside SDK 2.
old=.venv-mcp1
if ! [ -x "$old/bin/python" ] || ! "$old/bin/python" -c 'import mcp' 2>/dev/null; then
    python3 -m venv "$old"
    "$old/bin/pip" install --quiet --disable-pip-version-check 'mcp>=1.30,<2'
fi

port=3103
url=http://127.0.0.1:$port/mcp
stdio=("$(command -v vllm-preflight)" serve)
vllm-preflight serve --http --port "$port" --workers 2 &
server=$!
trap 'kill $server 2>/dev/null && wait $server || true' EXIT
for _ in $(seq 150); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    kill -0 "$server"
    sleep 0.2
done

python tests/interop/raw.py "$url" "${stdio[@]}"
python tests/interop/python_sdk.py "$url" "${stdio[@]}"
"$old/bin/python" tests/interop/python_sdk1.py "$url" "${stdio[@]}"
node tests/node/clients.mjs "$url" "${stdio[@]}"

plan='{"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 4}'
wrong='{"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurency": 4}'
answer=$(mktemp)
inspect() { mcp-inspector --cli "$@" --format json -q >"$answer" 2>&1; }
for era in legacy modern; do
    for where in stdio http; do
        if [ "$where" = stdio ]; then
            target=("${stdio[@]}")
        else
            target=("$url" --transport http)
        fi
        target+=(--protocol-era "$era")
        inspect "${target[@]}" --method tools/list
        grep -q '"plan_deployment"' "$answer"
        inspect "${target[@]}" --method tools/call --tool-name plan_deployment \
            --tool-args-json "$plan"
        grep -q '"fits": *true' "$answer"
        code=0
        inspect "${target[@]}" --method tools/call --tool-name plan_deployment \
            --tool-args-json "$wrong" || code=$?
        # 5: the tool said that it failed.
        [ "$code" = 5 ]
        grep -q "did you mean 'concurrency'" "$answer"
        echo "ok inspector, $where, $era"
    done
done
rm -f "$answer"
