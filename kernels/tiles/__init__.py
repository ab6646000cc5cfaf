"""Register tiles: the inner loops of every product, in float32, bfloat16 and int8."""
