"""The backward pass: a vector-Jacobian product (vjp) for every function of `minembed.transformer`."""
