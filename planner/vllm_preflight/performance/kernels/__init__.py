"""Kernels as they were measured: how long one takes on a GPU, and which GPU lends to which."""
