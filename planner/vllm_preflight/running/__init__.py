"""What a running vLLM server says of itself: its release, models, cache and load."""
