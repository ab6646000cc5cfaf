"""The sizes of the encoder's buffers for activations.  Python allocates one array; buffers.py splits it."""

from minembed.kernels.encoder.architecture import Shape
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS

CHUNK = 512  # rows that go through all layers together
FFN_ROWS = 112  # rows that the feed-forward block takes at a time
SHARED_ROWS = 256  # up to this many rows, a product may be shared with a second core
SLACK = 16  # rows that may be read, or columns that may be written, beyond the end


def padded(width: int) -> int:
    """The stride of a row: whole panels, and space for one more panel.

    >>> padded(PANEL + 1) == 3 * PANEL
    True
    """
    return (width + PANEL - 1) // PANEL * PANEL + PANEL


def operand_scales(rows: int, shape: Shape) -> int:
    """The maximum number of scales and zero points of an operand.

    >>> operand_scales(4, (384, 1536, 12, 6, 192, 192, 32, 192)) == (4 + SLACK) * 8
    True
    """
    D, F, heads, _, group_d, group_f, size, group_c = shape
    widest = max((D + group_d - 1) // group_d, (F + group_f - 1) // group_f)
    return (rows + SLACK) * max(widest, (heads * size + group_c - 1) // group_c)


def operand_elements(rows: int, shape: Shape) -> int:
    """The maximum number of elements of an operand.

    >>> operand_elements(4, (384, 1536, 12, 6, 192, 192, 32, 192)) == (4 + SLACK) * (1536 + SLACK)
    True
    """
    D, F, heads, _, group_d, group_f, size, group_c = shape
    widest = max((D + group_d - 1) // group_d * group_d, (F + group_f - 1) // group_f * group_f)
    return (rows + SLACK) * (max(widest, (heads * size + group_c - 1) // group_c * group_c) + SLACK)


def sizes(rows: int, shape: Shape, gated: int) -> tuple[int, ...]:
    """The size of each buffer for this many rows, in floats: x, qkv (of one head; of
    all if they are shared between cores), context, y, h; keys, scores, sums;
    then, in bfloat16: queries, values, weights of a head; last the scales of quantised rows.

    >>> len(sizes(4, (384, 1536, 12, 6, 192, 192, 32, 192), 0))
    12
    """
    D, F, heads, size = shape[0], shape[1], shape[2], shape[6]
    long = (rows + PANEL - 1) // PANEL * PANEL
    wide = (size + 31) // 32 * 32
    together = (TILE_ROWS + 3) // 4 * 4  # rows of scores: softmax takes four
    all_rows = rows + SLACK
    one_head = padded(3 * size)
    qkv = max(all_rows * one_head, min(all_rows, SHARED_ROWS + SLACK) * (heads + 1) * one_head)
    return (
        all_rows * padded(D), qkv, all_rows * padded(heads * size), all_rows * padded(D),
        min(all_rows, FFN_ROWS + SLACK) * padded(2 * F if gated else F), (wide + SLACK) * long, together * long, SLACK,
        all_rows * wide // 2, all_rows * wide, max(together * long, SLACK * wide),
        2 * operand_scales(rows, shape),
    )  # fmt: skip
