"""The flags of `vllm serve`, release by release, and its parser."""
