"""Reading vLLM's start-up logs: their numbers, their settings and how they ended."""
