"""The planning engine of vllm-preflight: pure, synchronous, deterministic."""

__version__ = "0.1.0"
