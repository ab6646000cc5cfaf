"""Room for the activations: how much each buffer takes.  Python allocates; buffers.py cuts."""

from minembed.kernels.encoder.tiled.plan import DEPTH, HEAD, HEADS, SIDE, SLOT, WIDE, F, Plan

SLICE = 1024  # columns of the feed-forward block's hidden layer, at most, that are computed before they are used
BAND = 512  # rows that block takes at a time
PANEL = DEPTH * SIDE // 2  # floats that a part of a panel takes, in bfloat16
SHARED_ROWS = 256  # up to so many rows two cores may share


def stride_of(plan: Plan) -> int:
    """From a row of hidden states to the next: not a power of two, which would make rows share places in the cache.

    >>> stride_of((384, 384, 1536, 12, 32, 32, 6))
    400
    """
    return plan[WIDE] + 16


def slice_of(plan: Plan) -> int:
    """How many columns a slice of the hidden layer has: slices of like size, in whole blocks.

    >>> slice_of((384, 384, 1536, 12, 32, 32, 6))
    768
    """
    slices = (plan[F] + SLICE - 1) // SLICE
    return (plan[F] // SIDE + slices - 1) // slices * SIDE


def shared_sizes(rows: int, plan: Plan) -> tuple[int, ...]:
    """How many floats each buffer takes that cores share: x; ax; context; h; y; z.

    >>> shared_sizes(32, (384, 384, 1536, 12, 32, 32, 6))[0]
    25600
    """
    wide, across = plan[WIDE], plan[HEADS] * plan[HEAD]
    all_rows, band = (rows + SIDE - 1) // SIDE * SIDE + SIDE, BAND + SIDE
    hidden = max(min(all_rows, band) * slice_of(plan), min(all_rows, SHARED_ROWS) * plan[F])
    return (
        all_rows * (wide + 16), all_rows * wide // 2, all_rows * across // 2, hidden // 2,
        wide // SIDE * (band // SIDE) * SLOT, all_rows * (wide + 16),
    )  # fmt: skip


def own_sizes(rows: int, plan: Plan) -> tuple[int, ...]:
    """How many floats each buffer takes that a core has to itself.

    q, k, v, keys, values of a head, in bfloat16; its columns; scores; weights; sums; blocks; a panel.

    >>> own_sizes(32, (384, 384, 1536, 12, 32, 32, 6))[0]
    1024
    """
    head, all_rows = plan[HEAD], (rows + SIDE - 1) // SIDE * SIDE + SIDE
    half = all_rows * head // 2
    square = SIDE * (all_rows + SIDE)
    return (
        half,
        half,
        half,
        half,
        half,
        all_rows * 3 * head,
        square,
        square,
        2 * SIDE,
        all_rows // SIDE * 2 * SLOT,
        PANEL,
    )
