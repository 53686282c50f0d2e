"""One reader per family of architectures, built from shared blocks."""
