"""The book: a transformer encoder in plain NumPy, from token ids to the vector of a text.

docs/learn/minimal.py has all of it for one model on one page; here it is for every model.  Read it in this order:

    encoder       the forward pass: embeddings, then attention and feed-forward, layer by layer
    ops           the mathematics: linear, layer_norm, softmax, gelu
    attention     how each token takes from the other tokens of its text
    positions     how attention knows where tokens stand
    pooling       from the hidden states of a text to its vector
    modules       what may come after pooling: Dense, LayerNorm, Normalize
    vectors       unit length, fewer numbers, smaller numbers

What these pass around: `tokens` (a batch: all texts end to end), `params` (the weights, a shape on every field),
`config` (the choices of an architecture, by the names of config.json) and `operations` (which function computes a
step).  What an application needs beside it: `heads` (scores of pairs, words for a mask), `matmul` (the same bits for a
row in any batch), `quantization` (bfloat16 and int8) and `tier` (the encoder,
made ready for float32, bfloat16 or int8).
"""
