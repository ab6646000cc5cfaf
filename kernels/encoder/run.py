"""The whole encoder in one call without the GIL: minembed/transformer/encoder.py, on the vector units.

Texts are processed in chunks of about CHUNK rows, through all layers: enough rows that streaming a layer's weights from
memory costs little, few enough that activations stay in the core's caches; the feed-forward block takes FFN_ROWS at a
time for the same reason.  Everything else, in layer.py, is as in encoder.py, which these two mirror; read that first.

`run` takes its arrays one by one: bundled in tuples they cost 5 µs more per call, in named tuples 10 to 30.
"""

from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.architecture import ALL_ROWS, BARE, GATED, MEAN_ROWS
from minembed.kernels.encoder.buffers import lay_out, operand_elements, operand_scales, padded
from minembed.kernels.encoder.embeddings import embed
from minembed.kernels.encoder.heads import pattern_of
from minembed.kernels.encoder.layer import copy_rows, transformer_layer
from minembed.kernels.encoder.pooling import write_kept
from minembed.kernels.encoder.sharing import begin_job, close_job
from minembed.kernels.encoder.workspace import CHUNK
from minembed.kernels.vectors.simd import address, at


@njit
def chunk_end(cu, first, texts, rows, chunk):
    """The text that begins the next chunk: chunks have similar sizes, near `chunk` rows and not beyond `rows`."""
    left = cu[texts] - cu[first]
    parts = (left + chunk - 1) // chunk
    fair = (left + parts - 1) // parts
    last = first + 1
    while last < texts:
        more = cu[last + 1] - cu[first]
        if more > rows or more - fair > fair - (cu[last] - cu[first]):
            break
        last += 1
    return last


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def run(
    ids, kinds, places, cu_seqlens, weights, scales, sums, vectors, word, word_scales, position, token_type, norm,
    zeros, bias, rotary, patterns, shape, architecture, eps, embedded, keep, job, floats, zero_points, operand,
    rows, out,
):  # fmt: skip
    """Hidden states of packed texts after the last layer, from the tokens or, if `embedded`, from `out`.

    `keep` says what is kept of each text: its first or last token, so that the last layer computes no others, or the
    mean of its tokens.
    """
    D, layers, model = shape[0], shape[3], (shape, architecture, eps)
    stride = padded(D)
    work, scale_a = lay_out(floats, rows, shape, architecture[GATED], zeros)
    widest, scaled = operand_elements(rows, shape), operand_scales(rows, shape)
    operand_, zeros_ = address(operand, 0), address(zero_points, 0)
    buffers = (
        (operand_, scale_a, zeros_), (at(operand_, widest), at(scale_a, scaled), at(zeros_, scaled))
    )  # fmt: skip
    x = work[0]
    tokens = address(ids, 0), address(kinds, 0), address(places, 0)
    tables = address(word, 0), address(word_scales, 0), address(position, 0), address(token_type, 0), address(norm, 0)
    patterns_ = address(patterns, 0), address(bias, 0), address(rotary, 0), shape[6] // 2
    cu, to, job_ = address(cu_seqlens, 0), address(out, 0), address(job, 0)
    first, number = 0, len(cu_seqlens) - 1
    rows_kept = ALL_ROWS if keep == MEAN_ROWS else keep
    begin_job(job_)
    while first < number:
        last = chunk_end(cu, first, number, rows, CHUNK)
        count, start = cu[last] - cu[first], cu[first]
        if embedded:
            copy_rows(at(to, start * D), D, x, stride, count, D)
        else:
            embed(tokens, start, count, tables, D, eps, x, stride)
        p = (address(weights, 0), address(scales, 0), address(sums, 0), address(vectors, 0))
        for layer in range(layers):
            texts = cu, first, last, rows_kept if layer == layers - 1 else ALL_ROWS
            pattern, bare = pattern_of(patterns_, layer), layer == 0 and architecture[BARE] != 0
            p = transformer_layer(job_, texts, p, model, pattern, address(zeros, 0), work, buffers, bare)
        write_kept(x, stride, cu, first, last, keep, D, to)
        first = last
    close_job(job_)
