"""A transformer encoder in plain NumPy, from token ids to the vector of a text: written to be read.

docs/learn/minimal.py has all of it for one model on one page; here it is for every model.  Read it in this order:

    encoder       the forward pass: embeddings, then attention and feed-forward, layer by layer
    ops           the mathematics: linear, layer_norm, softmax, gelu
    attention     how each token reads the other tokens of its text
    positions     how attention knows the positions of tokens
    pooling       from the hidden states of a text to its vector
    modules       what may come after pooling: Dense, LayerNorm, Normalize
    vectors       unit length, fewer numbers, smaller numbers

Their arguments: `tokens` (a batch: all texts end to end), `params` (the weights, with a shape on every field), `config`
(the choices of an architecture, with the names of config.json) and `operations` (the function that computes each step).
An application also needs `heads` (scores of pairs, words for a mask), `matmul` (the same bits for a row in any batch),
`quantization` (bfloat16 and int8) and `tier` (the encoder, prepared for float32, bfloat16 or int8).
"""
