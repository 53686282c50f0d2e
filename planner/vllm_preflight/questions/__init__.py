"""What people ask: one module a question, from the request to its answer."""
