"""The encoder on the CPU's vector units. Empty until the kernels arrive; nothing imports it but `minembed.backend`."""
