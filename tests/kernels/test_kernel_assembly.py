"""What LLVM makes of the kernels, for this CPU and for others: the assembly is read."""

import re
from types import SimpleNamespace

import llvmlite.binding as llvm
import pytest
from cpu_kinds import IDS, KINDS
from kernel_assembly import INSTRUCTIONS, TILES, assert_no_spills, assert_tile_spills_nothing, loops
from llvmlite import ir
from numba import types

from minembed.kernels.tiles import dot as dots
from minembed.kernels.tiles import registers as tiles
from minembed.kernels.vectors import emit, powers, simd, target

# ---- what multiplies, and how often for a row and a vector of 16 lanes ----


# ---- on this machine ----


@pytest.mark.skipif("avx2" not in tiles.TARGET.features, reason="what is expected is known for AVX2 and AVX-512")
@pytest.mark.parametrize("name", TILES)
def test_the_tiles_of_this_machine_spill_nothing(name):
    assert_tile_spills_nothing(name)


@pytest.mark.skipif("avx2" not in tiles.TARGET.features, reason="what is expected is known for AVX2 and AVX-512")
@pytest.mark.parametrize("name", ["floats", "bfloat16", "bytes"])
def test_weights_are_asked_for_early(name):
    """Those of float32 everywhere, smaller ones where the cache that holds them is far."""
    tile, arguments = TILES[name]
    tile(1, *arguments)
    (assembly,) = tile.inspect_asm().values()
    assert ("prefetch" in assembly) == (name == "floats" or tiles.TARGET.is_far)


# ---- what LLVM makes for other machines ----


def compiled(cpu, chosen, build):
    """The assembly of a function f(a, b, c, steps) whose body `build` emits, for another machine."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module("elsewhere")
    module.triple = (
        "aarch64-unknown-linux-gnu" if chosen.machine in ("arm64", "aarch64") else "x86_64-unknown-linux-gnu"
    )
    pointer = ir.FloatType().as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, pointer, pointer, ir.IntType(64)]), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    build(builder, *function.args)
    builder.ret_void()
    features = "+dotprod" if "dotprod" in chosen.features else ""
    machine = llvm.Target.from_triple(module.triple).create_target_machine(cpu=cpu, features=features, opt=3)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    return machine.emit_assembly(parsed)


def whole_tile(rows, vectors, words, sums, multiply):
    """Emit one tile: A and B are of `words`, C is of `sums`."""
    vector = ir.VectorType(words, 16)

    def build(builder, a, b, c, steps):
        a, panel, out = (
            builder.bitcast(x, t.as_pointer()) for x, t in ((a, words), (b, vector), (c, ir.VectorType(sums, 16)))
        )
        start = [
            [builder.load(emit.move(builder, out, vectors * r + v), align=1) for v in range(vectors)]
            for r in range(rows)
        ]

        def load_a(r, k):
            here = emit.move(
                builder, a, builder.add(builder.mul(k, ir.Constant(emit.I64, rows)), ir.Constant(emit.I64, r))
            )
            return emit.broadcast(builder, builder.load(here))

        def load_b(k):
            here = emit.move(builder, panel, builder.mul(k, ir.Constant(emit.I64, vectors)))
            return [builder.load(emit.move(builder, here, v), align=1) for v in range(vectors)]

        made = tiles.accumulate(builder, start, steps, load_a, load_b, multiply)
        for r, row in enumerate(made):
            for v, value in enumerate(row):
                builder.store(value, emit.move(builder, out, vectors * r + v), align=1)

    return build


def assert_one_loop(assembly, instruction, count):
    (loop,) = [loop for loop in loops(assembly) if instruction in loop]
    assert len(re.findall(rf"(?m)^\s*(?:\{{vex\}}\s*)?{instruction}", loop)) == count
    assert_no_spills(loop)


ELSEWHERE = [  # below AVX2, and where no instruction multiplies bytes, sums may spill
    pytest.param(*kind[:2], name, id=f"{kind[0]}-{name}")
    for kind in KINDS
    for name in INSTRUCTIONS
    if name == "floats" or (kind[2] != (2, 1) and INSTRUCTIONS[name](kind[1])[0])
]


@pytest.mark.parametrize(("cpu", "chosen", "name"), ELSEWHERE)
def test_the_largest_tiles_of_other_machines_spill_nothing(cpu, chosen, name, monkeypatch):
    monkeypatch.setattr(dots, "TARGET", chosen)
    rows = {"floats": chosen.tile[0], "bfloat16": chosen.bfloat16_rows, "bytes": chosen.byte_rows}[name]
    words, sums, multiply = {
        "floats": (emit.F32, emit.F32, dots.multiply_floats),
        "bfloat16": (emit.I32, emit.F32, dots.multiply_bfloat16),
        "bytes": (emit.I32, emit.I32, dots.multiply_bytes),
    }[name]
    assembly = compiled(cpu, chosen, whole_tile(rows, chosen.tile[1], words, sums, multiply))
    instruction, of_a_vector = INSTRUCTIONS[name](chosen)
    assert_one_loop(assembly, instruction, of_a_vector * rows * chosen.tile[1])


def everything_else(builder, a, b, c, steps):
    """Emit every function of simd.py and dot.py that turns vectors into vectors."""
    x, y = (emit.load_vector(builder, pointer) for pointer in (a, b))
    n = builder.bitcast(x, emit.VI)
    float_type, short_type = types.CPointer(types.float32), types.CPointer(types.uint16)

    def emitted(intrinsic, arguments, *values):
        signature, generate = intrinsic._defn(None, *arguments)
        context = SimpleNamespace(get_dummy_value=lambda: None)
        return generate(context, builder, signature, values)

    two, one = (simd.floats, simd.floats), (simd.floats,)
    made = [emitted(f, two, x, y) for f in (simd.maximum, simd.minimum)]
    made += [emitted(f, one, x) for f in (simd.absolute, simd.nearest)]
    made += [emitted(simd.fma, (*two, simd.floats), x, y, x), emitted(powers.fraction, one, x)]
    made += [emitted(f, two, x, y) for f in (powers.times_power, powers.scale_by_power)]
    made += [emitted(simd.first_lanes, (simd.floats, types.int64), x, steps)]
    made += [emitted(simd.load_part, (float_type, types.int64, simd.floats), a, steps, y)]
    made += [builder.bitcast(emitted(simd.pair_bfloat16, two, x, y), emit.VF)]
    made += [dots.multiply_bfloat16(builder, x, n, n)]
    made += [builder.bitcast(dots.multiply_bytes(builder, n, n, n), emit.VF)]
    for i, value in enumerate(made):
        emit.store_vector(builder, emit.move(builder, c, 16 * i), value)
    shorts = builder.bitcast(b, ir.IntType(16).as_pointer())
    emitted(simd.store_bfloat16, (short_type, simd.floats), shorts, x)
    emitted(simd.store_part, (float_type, simd.floats, types.int64), c, x, steps)
    for f in (simd.sum_lanes, simd.max_lanes, simd.min_lanes):
        builder.store(emitted(f, one, x), c)
    emitted(simd.prefetch, (float_type,), a)


@pytest.mark.parametrize(("cpu", "chosen"), [kind[:2] for kind in KINDS], ids=IDS)
def test_no_function_of_a_library_is_called(cpu, chosen, monkeypatch):
    """What a CPU lacks LLVM replaces by a call, and the process ends if nobody has that function."""
    for module in (dots, emit, powers, simd, target, tiles):
        if hasattr(module, "TARGET"):
            monkeypatch.setattr(module, "TARGET", chosen)
    assembly = compiled(cpu, chosen, everything_else)
    called = set(re.findall(r"(?m)^\s*(?:callq?|bl?)\s+([A-Za-z_]\w*)", assembly))
    called |= set(re.findall(r"(\w+)@(?:PLT|GOT)", assembly)) | set(re.findall(r":got:(\w+)", assembly))
    assert called <= {"rintf", "floorf"}, called  # of the C library, which is always there: SSE2 cannot round
