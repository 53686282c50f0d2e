"""How the engine's results become the parts of an answer."""
