"""SIMD vectors as values in Numba: what the CPU can do, and the instructions that are emitted for it."""
