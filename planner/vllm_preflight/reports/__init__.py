"""From the engine's results to the parts of an answer."""
