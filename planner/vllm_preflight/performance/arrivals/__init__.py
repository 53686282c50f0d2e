"""Requests as they arrive: tails under a Poisson rate, by formula and by simulation."""
