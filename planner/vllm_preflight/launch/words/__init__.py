"""Where in pasted text a vLLM server is started, and with which words."""
