"""What vLLM refuses before it loads anything, release by release."""
