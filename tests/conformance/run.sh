#!/usr/bin/env bash
# The official conformance suite against the product, with and without fixtures, and the
# Inspector's schema check. Needs the product installed for `python` on PATH, and npm.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/node/env.sh

results=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null && wait "$server" || true
        server=
    fi
}
trap 'stop; rm -rf "$results"' EXIT

# start PORT COMMAND...: run a server in the background until it says it is healthy.
start() {
    local port=$1
    shift
    "$@" 2>"$results/server.log" &
    server=$!
    for _ in $(seq 150); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.2
    done
    echo "the server did not start" >&2
    cat "$results/server.log" >&2
    exit 1
}

# suite NAME PORT ARGUMENTS...: run the suite; print its summary, or all of it when it fails.
suite() {
    local name=$1 port=$2
    shift 2
    echo "-- $name"
    if ! conformance server --url "http://localhost:$port/mcp" -o "$results/$name" "$@" \
        >"$results/$name.log" 2>&1; then
        cat "$results/$name.log"
        echo "$name: failed"
        exit 1
    fi
    echo "as expected ($(sed -n 's/^Total: //p' "$results/$name.log"))"
}

start 3101 python tests/conformance/server.py --port 3101
for revision in 2026-07-28 2025-11-25; do
    suite "fixtures-$revision" 3101 --requirements "$revision"
done
stop

start 3102 vllm-preflight serve --http --port 3102
for revision in 2026-07-28 2025-11-25; do
    suite "product-$revision" 3102 --suite all --spec-version "$revision" \
        --expected-failures "tests/conformance/baseline-$revision.yml"
done
stop

echo "-- inspector --strict"
mcp-inspector --cli vllm-preflight serve --method tools/list --strict -q >"$results/strict.json"
echo "no findings"
