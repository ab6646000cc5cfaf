"""Compiling kernels ahead of time: what a wheel's libraries are built with.  It needs Numba and a linker; they do not.

Here alone private parts of Numba are used (emission.py), with the versions in TESTED.
"""
