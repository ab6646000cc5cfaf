"""The encoder on tile registers, in bfloat16: products, attention, one layer, all layers, and its preparation."""
