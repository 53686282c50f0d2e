"""What is drawn: the page, pictures and figures that MCP, HTTP and reports share."""
