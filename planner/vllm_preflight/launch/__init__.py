"""A vLLM launch: its arguments and the defaults vLLM fills in."""
