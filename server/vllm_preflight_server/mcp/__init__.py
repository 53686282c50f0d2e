"""The MCP server: tools, schemas, resources, prompts and extensions."""
