"""Training in NumPy: the backward pass, losses, the optimiser and the loop."""
