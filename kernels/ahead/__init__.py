"""Compile kernels ahead of time, into the libraries of a wheel.  Needs Numba and a linker; the libraries need neither.

Private parts of Numba are used only here (emission.py), with the versions in TESTED.
"""
