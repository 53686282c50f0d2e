"""What a launch takes beside weights and KV cache: activations, non-torch memory, graphs."""
