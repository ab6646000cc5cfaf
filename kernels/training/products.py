"""Products in training: weights change at every step, so a panel is packed just before it is multiplied."""

from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.tiles.registers import tile_floats
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.vectors.simd import address


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def multiply_rows(x, rows, width, weight, out_width, bias, panel_room, out):
    """out = bias + x weight: (rows, width), (width, out_width); out_width is a number of whole panels."""
    for panel in range(out_width // PANEL):
        first = panel * PANEL
        for k in range(width):
            for j in range(PANEL):
                panel_room[k * PANEL + j] = weight[k * out_width + first + j]
        _rows_by_panel(x, rows, width, panel_room, bias, first, out, out_width)


@njit
def _rows_by_panel(x, rows, width, panel_room, bias, first, out, out_width):
    blocks = (rows + TILE_ROWS - 1) // TILE_ROWS
    i = 0
    for block in range(blocks):  # of nearly equal size
        count = (rows - i) // (blocks - block)
        a, c = address(x, i * width), address(out, i * out_width + first)
        tile_floats(
            count, a, width, address(panel_room, 0), PANEL, width, address(bias, first), c, out_width
        )  # fmt: skip
        i += count


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def multiply_transposed(x, dy, rows, width, out_width, zeros, dy_room, x_room, out):
    """out = x^T dy: (rows, width), (rows, out_width) -> (width, out_width); the sum runs over rows, in order."""
    for panel in range(out_width // PANEL):
        for t in range(rows):
            for j in range(PANEL):
                dy_room[(panel * rows + t) * PANEL + j] = dy[t * out_width + panel * PANEL + j]
    blocks = (width + TILE_ROWS - 1) // TILE_ROWS
    i = 0
    for block in range(blocks):
        count = (width - i) // (blocks - block)
        for t in range(rows):
            for r in range(count):
                x_room[r * rows + t] = x[t * width + i + r]
        for panel in range(out_width // PANEL):
            b = address(dy_room, panel * rows * PANEL)
            c = address(out, i * out_width + panel * PANEL)
            tile_floats(count, address(x_room, 0), rows, b, PANEL, rows, address(zeros, 0), c, out_width)
        i += count


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def transpose(x, rows, width, out):
    """out = x^T, in blocks that stay in the first-level cache."""
    for i in range(0, rows, 16):
        for j in range(0, width, 16):
            for r in range(i, min(i + 16, rows)):
                for c in range(j, min(j + 16, width)):
                    out[c * rows + r] = x[r * width + c]
