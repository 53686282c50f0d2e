"""Which vLLM servers the files start that people already have, and on which GPUs."""
