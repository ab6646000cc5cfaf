"""The kernels of training: forward and backward of row functions and linear layers, and the optimiser."""
