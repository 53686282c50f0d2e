"""The page, pictures and figures that MCP, HTTP and reports share."""
