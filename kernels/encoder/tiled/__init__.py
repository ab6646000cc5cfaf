"""The encoder on tile registers, in bfloat16: products, attention, one layer, all layers; and how it is prepared."""
