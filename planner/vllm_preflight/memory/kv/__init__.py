"""How large the KV cache is: layers, groups, pages, blocks and what they hold."""
