"""The sizes of the buffers for activations.  Python allocates one array; buffers.py splits it."""

from minembed.kernels.encoder.tiled.plan import DEPTH, EACH, HEAD, HEADS, SIDE, SLOT, WIDE, F, Plan

CHUNK = 512  # rows that go through all layers together, in bfloat16
SLICE = 1024  # at most this many columns of the feed-forward block's hidden layer are computed before they are used
BAND = 512  # rows that this block takes at a time
PANEL = DEPTH * SIDE // 2  # floats for a part of a panel in bfloat16
SHARED_ROWS = 256  # two cores share up to this many rows


def number_of_planes(plan: Plan) -> int:
    """The number of planes of an operand, as in plan.planes_of.

    >>> number_of_planes((384, 384, 1536, 12, 32, 32, 6, 4))
    3
    """
    return 3 if plan[EACH] == 4 else 1


def chunk_of(plan: Plan) -> int:
    """The number of rows that go through all layers together: an operand of them fits the second-level cache.

    >>> chunk_of((384, 384, 1536, 12, 32, 32, 6, 4)), chunk_of((384, 384, 1536, 12, 32, 32, 6, 2))
    (256, 512)
    """
    return CHUNK // 2 if plan[EACH] == 4 else CHUNK


def stride_of(plan: Plan) -> int:
    """The stride of hidden states: not a power of two, with which rows would map to the same sets of the cache.

    >>> stride_of((384, 384, 1536, 12, 32, 32, 6))
    400
    """
    return plan[WIDE] + 16


def slice_of(plan: Plan) -> int:
    """The number of columns in a slice of the hidden layer: slices have similar sizes, in whole blocks.

    >>> slice_of((384, 384, 1536, 12, 32, 32, 6, 2))
    768
    """
    widest = SLICE // number_of_planes(plan)
    slices = (plan[F] + widest - 1) // widest
    return (plan[F] // SIDE + slices - 1) // slices * SIDE


def shared_sizes(rows: int, plan: Plan) -> tuple[int, ...]:
    """The size in floats of each buffer that cores share: x; ax; context; h; y; z.

    >>> shared_sizes(32, (384, 384, 1536, 12, 32, 32, 6, 2))[0]
    25600
    """
    wide, across, planes = plan[WIDE], plan[HEADS] * plan[HEAD], number_of_planes(plan)
    all_rows, band = (rows + SIDE - 1) // SIDE * SIDE + SIDE, BAND + SIDE
    hidden = max(min(all_rows, band) * slice_of(plan), min(all_rows, SHARED_ROWS) * plan[F])
    return (
        all_rows * (wide + 16), planes * all_rows * wide // 2, planes * all_rows * across // 2, planes * hidden // 2,
        wide // SIDE * (band // SIDE) * SLOT, all_rows * (wide + 16),
    )  # fmt: skip


def own_sizes(rows: int, plan: Plan) -> tuple[int, ...]:
    """The size in floats of each buffer that a core has separately.

    q, k, v, keys, values of a head, in bfloat16; its columns; scores; weights; sums; blocks; a panel.

    >>> own_sizes(32, (384, 384, 1536, 12, 32, 32, 6, 2))[0]
    1024
    """
    planes = number_of_planes(plan)
    head, all_rows = plan[HEAD], (rows + SIDE - 1) // SIDE * SIDE + SIDE
    half = planes * all_rows * head // 2
    square = SIDE * (all_rows + SIDE)
    return (
        half,
        half,
        half,
        half,
        half,
        all_rows * 3 * head,
        square,
        planes * square,
        2 * SIDE,
        all_rows // SIDE * 2 * SLOT,
        PANEL,
    )
