"""What a vLLM log prints: its numbers, its settings and how it ended."""
