"""SIMD vectors as values in Numba: the features of the CPU, and the instructions that are emitted for it."""
