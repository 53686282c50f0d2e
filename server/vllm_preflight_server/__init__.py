"""The surfaces of vllm-preflight: MCP server and command line, both thin."""
