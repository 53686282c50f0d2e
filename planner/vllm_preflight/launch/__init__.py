"""Which launch a command means, with the defaults vLLM fills in."""
