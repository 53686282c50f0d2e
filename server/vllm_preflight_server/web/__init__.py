"""MCP over HTTP: sockets, authentication and limits."""
