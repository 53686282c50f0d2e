"""What vLLM refuses before it loads anything, release by release.

`classes` reads the registry of model classes, `methods` the quantisation methods and KV
cache dtypes, `gpus` the kernels and vendors. The tables beside them are written by
scripts/build_acceptance.py and scripts/wheel_kernels.py; the rules note refusals in vLLM's
words, or that something is not modelled here although vLLM may run it.
"""
