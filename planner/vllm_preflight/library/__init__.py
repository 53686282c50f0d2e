"""The questions as typed functions with keyword arguments, for Python programs."""
