"""Memory: weights, KV cache, overhead and the start-up budget."""
