"""Whether it starts, and how many bytes are left for the KV cache."""
