"""Numeric kernels of the strategies: plain Python that numba compiles when first asked to."""
