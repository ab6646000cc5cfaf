"""A second core for a single query: the panels of a product are shared between the caller and a helper.

The caller writes a product (pointers and sizes) into the words of a `job` in memory and then takes panels one by one; a
helper, if there is one, takes panels of the same product.  Each panel is computed as without a helper, so the bits are
the same.  The caller waits only for panels that the helper has begun: a helper that never comes costs nothing.

Taking a panel is one compare-and-swap on the ticket, which contains the product's number, its count of panels, and the
next panel.  If it succeeds, the product is still open, so everything read from the job before belongs to that product:
the caller posts another product only when all panels of the old one are done.

An interrupt may stop the caller's Python code between any two steps, but not its compiled code, which begins and closes
the job.  A helper gives up a job that is not begun soon; a caller that begins it later computes alone.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.gemm import multiply_one_panel
from minembed.kernels.encoder.job import BEGUN, CLOSED, DONE, FIELDS, TICKET
from minembed.kernels.tiles.shapes import PANEL
from minembed.kernels.vectors.atomics import add, read, swap, write
from minembed.kernels.vectors.emit import I32, I64, declare, move
from minembed.kernels.vectors.simd import address
from minembed.kernels.vectors.target import TARGET

PATIENCE = 1_000_000  # times that a helper checks whether the caller has begun: some 2 to 50 ms
_words = types.CPointer(types.int64)


@intrinsic
def number_of(typing_context, pointer):
    """A pointer as a number, to write it into a job."""
    return types.int64(pointer), lambda context, builder, sig, args: builder.ptrtoint(args[0], I64)


@intrinsic
def pointer_like(typing_context, number, like):
    """A number from a job as a pointer of the type of `like`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], args[1].type)

    return like(types.int64, like), generate


@intrinsic
def relax(typing_context):
    """A hint to the CPU that this is a spin loop."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if TARGET.machine in ("x86_64", "i686"):
            builder.call(declare(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif TARGET.machine in ("aarch64", "arm64"):
            builder.call(declare(builder, "llvm.aarch64.hint", ir.VoidType(), [I32]), [ir.Constant(I32, 1)])
        return context.get_dummy_value()

    return signature(types.void), generate


@intrinsic
def word(typing_context, job, n):
    """The address of a word of a job."""
    return _words(_words, types.int64), lambda context, builder, sig, args: move(builder, args[0], args[1])


@njit
def begin_job(job):
    """Tell the helper that the caller has begun, and that it should wait for work."""
    write(word(job, BEGUN), 1)


@njit
def close_job(job):
    """Tell the helper that there is no more work."""
    write(word(job, CLOSED), 1)


@njit
def caller_begins(job):
    """Wait until the caller begins; False if it does not begin soon."""
    for _ in range(PATIENCE):
        if read(word(job, BEGUN)) != 0:
            return True
        relax()
    return False


@njit
def open_tasks(job, count):
    """Offer `count` tasks of the product in the fields; returns how many tasks the helper had done before."""
    number, done_before = (read(word(job, TICKET)) >> 32) + 1, read(word(job, DONE))
    write(word(job, TICKET), number << 32 | count << 16)
    return done_before


@njit
def take_task(job, count):
    """Take the next task, as the caller; returns `count` if none is left."""
    while True:
        ticket = read(word(job, TICKET))
        task = ticket & 0xFFFF
        if task >= count:
            return count
        if swap(word(job, TICKET), ticket, ticket + 1):
            return task


@njit
def wait_for_helper(job, done_before, begun):
    """Wait until the helper has done the tasks that it has begun."""
    while read(word(job, DONE)) - done_before < begun:
        relax()


@njit
def multiply_shared(job, operand, rows, width, group, p, out_width, out, stride, activation):
    """Run gemm.multiply, with the helper if there is one."""
    panels = (out_width + PANEL - 1) // PANEL
    fields = (
        number_of(operand[0]), operand[1], number_of(operand[2]), number_of(operand[3]), rows, width, group,
        number_of(p[0]), number_of(p[1]), number_of(p[2]), number_of(p[3]), number_of(out), stride, activation,
    )  # fmt: skip
    for i in range(len(fields)):
        job[FIELDS + i] = fields[i]
    done_before, mine = open_tasks(job, panels), 0
    panel = take_task(job, panels)
    while panel < panels:
        multiply_one_panel(operand, rows, width, group, p, panel, out, stride, activation)
        mine += 1
        panel = take_task(job, panels)
    wait_for_helper(job, done_before, panels - mine)


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def assist(job, weights, operand, floats, zero_points):
    """The helper: take panels until the job is closed.  The arrays are only there for their types."""
    b = address(job, 0)
    w, o, f, z = address(weights, 0), address(operand, 0), address(floats, 0), address(zero_points, 0)
    if not caller_begins(b):
        return
    while read(word(b, CLOSED)) == 0:
        ticket = read(word(b, TICKET))
        panel, panels = ticket & 0xFFFF, ticket >> 16 & 0xFFFF
        if panel >= panels:
            relax()
            continue
        product = (
            pointer_like(b[FIELDS], o),
            b[FIELDS + 1],
            pointer_like(b[FIELDS + 2], f),
            pointer_like(b[FIELDS + 3], z),
        )
        p = (
            pointer_like(b[FIELDS + 7], w), pointer_like(b[FIELDS + 8], f), pointer_like(b[FIELDS + 9], z),
            pointer_like(b[FIELDS + 10], f),
        )  # fmt: skip
        rows, width, group = b[FIELDS + 4], b[FIELDS + 5], b[FIELDS + 6]
        out, stride, activation = pointer_like(b[FIELDS + 11], f), b[FIELDS + 12], b[FIELDS + 13]
        if swap(word(b, TICKET), ticket, ticket + 1):
            multiply_one_panel(product, rows, width, group, p, panel, out, stride, activation)
            add(word(b, DONE), 1)
