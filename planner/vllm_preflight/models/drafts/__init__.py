"""The second model of speculative decoding: heads on a target, and independent models."""
