"""The encoder, search and training on the CPU's vector units, in Numba.  Nothing imports it but `runtime.backend`."""
