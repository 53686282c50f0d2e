"""The questions people ask, one module each, from the request to the answer."""
