#!/usr/bin/env bash
# The MCP App page in headless Chromium, with the official bridge, and its build from app/;
# the bundle for desktop hosts, checked by its official tool; the examples. Needs the product
# installed for `python` on PATH, npm, and Chromium or apt-get.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/node/env.sh

if ! [ app/node_modules/.package-lock.json -nt app/package-lock.json ]; then
    npm ci --prefix app --no-audit --no-fund --loglevel error >&2
    touch app/node_modules/.package-lock.json
fi
if ! command -v chromium >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium \
        fonts-dejavu-core; } >/dev/null
fi

node app/build.mjs --check
python scripts/build_bundle.py --check
# Nothing may be skipped here.
report=$(mktemp)
trap 'rm -f "$report"' EXIT
python -m pytest -q -p no:cacheprovider tests/server/pages/test_page.py tests/server/pages/test_live.py tests/test_distribution.py \
    tests/test_examples.py -rs | tee "$report"
if grep -q '^SKIPPED' "$report"; then exit 1; fi
