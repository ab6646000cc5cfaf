"""The book: a transformer encoder in plain NumPy, from token ids to the vector of a text.

Read it in this order:

    config        the choices of an architecture, by the names of config.json
    params        the weights, a shape on every field
    tokens        a batch: all texts end to end, no padding and no mask
    ops           the mathematics: linear, layer_norm, softmax, gelu
    encoder       the forward pass: embeddings, then attention and feed-forward, layer by layer
    attention     how the tokens of a text look at each other
    positions     how they know where they stand
    pooling       from the hidden states of a text to its vector
    modules       what may come after pooling: Dense, LayerNorm, Normalize
    vectors       unit length, fewer numbers, smaller numbers

and then what an application needs beside it: `heads` (scores of pairs, words for a mask), `matmul` (the same bits
for a row in any batch), `quantization` (bfloat16 and int8) and `tier` (the encoder made ready for a compute type).
"""
