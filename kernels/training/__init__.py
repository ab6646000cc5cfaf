"""Training's kernels: both directions of rows' functions, linear layers, and the optimiser."""
