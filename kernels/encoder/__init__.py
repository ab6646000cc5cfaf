"""The encoder's kernels: linear layers, attention, norms and activations, and all layers in one call."""
