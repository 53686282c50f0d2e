"""The building blocks that model families are made of."""
