"""The backward pass, beside the forward: a vjp for every function of `minembed.transformer`."""
