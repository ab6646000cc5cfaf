"""Arguments of compiled functions become words, and what does not fit is refused before a library believes it."""

import struct
import weakref

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed.errors import BackendError, InputTypeError
from minembed.kernels.compiled.calling import Compiled, caller, words_in, words_of
from minembed.kernels.entries import ENTRIES
from minembed.kernels.libraries import FAILED

ARRAYS = ("int8", "int32", "int64", "uint8", "uint16", "float32", "float64")


class Recorder:
    """A library's function that keeps the words it gets."""

    def __init__(self, result=0):
        self.result, self.words = result, None

    def __call__(self, words):
        self.words = words
        return self.result


def value_of(kind, rng):
    """An argument of a kind."""
    if isinstance(kind, tuple):
        return tuple(value_of(part, rng) for part in kind)
    if "[" in kind:
        dtype, shape = np.dtype(kind.partition("[")[0]), rng.integers(0, 5, 1 + kind.count(","))
        made = np.zeros(shape, dtype)
        made.flags.writeable = "const" not in kind or bool(rng.integers(2))
        return made
    if kind == "bool":
        return (True, False, np.True_, np.False_)[rng.integers(4)]
    if kind == "int64":
        number = int(rng.integers(-(1 << 63), 1 << 63, dtype=np.int64))
        return number if rng.integers(2) else np.int64(number)
    number = rng.standard_normal()
    return (float(number), np.float32(number), np.float64(number), int(10 * number))[rng.integers(4)]


def numbers_in(kind, value):
    """The words of an argument, as Python's integers."""
    if isinstance(kind, tuple):
        return [word for part, x in zip(kind, value, strict=True) for word in numbers_in(part, x)]
    if "[" in kind:
        return [value.ctypes.data, *value.shape]
    if kind in ("float32", "float64"):
        return [int(np.array(value, kind).view(np.uint32 if kind == "float32" else np.uint64))]
    return [int(value)]


@pytest.mark.parametrize("name", ENTRIES)
def test_the_words_of_an_entry(name):
    kinds, rng, recorder = ENTRIES[name].kinds, np.random.default_rng(len(name)), Recorder(7)
    call = caller(Compiled(name, kinds, recorder, True))
    for _ in range(5):
        values = [value_of(kind, rng) for kind in kinds]
        wanted = [word for kind, x in zip(kinds, values, strict=True) for word in numbers_in(kind, x)]
        assert call(*values) == 7 and len(wanted) == words_in(kinds)
        assert recorder.words == b"".join(struct.pack("<q" if w < 0 else "<Q", w) for w in wanted)
        assert recorder.words == b"".join(words_of(kind, x) for kind, x in zip(kinds, values, strict=True))
        fixed = {i: values[i] for i in range(len(kinds)) if rng.integers(2)}
        before, recorder.words = recorder.words, None
        caller(Compiled(name, kinds, recorder, True), fixed)(*(x for i, x in enumerate(values) if i not in fixed))
        assert recorder.words == before


def wrong_for(kind):
    """Arguments that are not of a kind."""
    if isinstance(kind, tuple):
        return [None, (), (0,) * (len(kind) + 1), [0] * len(kind), (None,) * len(kind)]
    if "[" not in kind:
        same = {"int64": [1.0, np.float32(1), "1"], "bool": [1, 0, "x", 1.0]}.get(kind, ["1", 1j, np.zeros(1)])
        return [None, np.zeros(3), *same] + [1 << 63, -(1 << 63) - 1] * (kind == "int64")
    dtype, dimensions = np.dtype(kind.partition("[")[0]), 1 + kind.count(",")
    shape = (4,) * dimensions
    right = np.zeros(shape, dtype)
    other = np.dtype({"float32": "int32", "int64": "uint64"}.get(dtype.name, "float32"))
    frozen = right.copy()
    frozen.flags.writeable = False
    unaligned = np.zeros(right.nbytes + 1, np.uint8)[1:].view(dtype).reshape(shape)
    return [
        None,
        0,
        right.tolist(),
        memoryview(right),
        np.zeros(shape, other),
        np.zeros((4, *shape), dtype),
        np.zeros((), dtype),
        np.zeros((8,) * dimensions, dtype)[(slice(None, None, 2),) * dimensions],
        right[::-1],
        *([right.astype(dtype.newbyteorder())] if dtype.itemsize > 1 else []),
        *([unaligned] if dtype.itemsize > 1 else []),
        *([frozen] if "const" not in kind else []),
        *([np.asfortranarray(right)] if dimensions == 2 else []),
    ]


KINDS = sorted({kind for entry in ENTRIES.values() for kind in entry.kinds}, key=str)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_wrong_is_named(kind):
    call = caller(Compiled("something", ("int64", kind), Recorder(), False))
    for wrong in wrong_for(kind):
        with pytest.raises(InputTypeError, match=r"^something: argument 1 should be "):
            call(0, wrong)
        with pytest.raises(InputTypeError, match=r"^something: argument 1 should be "):
            caller(Compiled("something", ("int64", kind), Recorder(), False), {1: wrong})
    with pytest.raises(TypeError, match=r"something\(\) missing 1 required"):
        call(0)


@examples(100)
@given(st.sampled_from(ARRAYS), st.integers(0, 3), st.integers(1, 3), st.booleans(), st.booleans())
def test_views_are_taken_or_refused_as_the_slow_way_does(dtype, begin, step, constant, frozen):
    kind = f"{dtype}[]" + " const" * constant
    view, recorder = np.zeros(12, dtype)[begin::step], Recorder()
    view.flags.writeable = not frozen
    call = caller(Compiled("something", (kind,), recorder, False))
    if step > 1 or (frozen and not constant):
        with pytest.raises(InputTypeError, match="argument 0"):
            call(view)
    else:
        assert call(view) is None and recorder.words == struct.pack("<Qq", view.ctypes.data, 12 - begin)


def test_arrays_of_other_origins():
    """Unpickled, mapped, of a class of its own: what has the right bytes is taken."""
    recorder = Recorder()
    call = caller(Compiled("something", ("float32[] const", "float32[]"), recorder, False))
    for array in (np.frombuffer(bytearray(12), np.float32), np.zeros(3, np.dtype("float32", copy=True))):
        call(array, array)
        assert recorder.words[:8] == recorder.words[16:24] == struct.pack("<Q", array.ctypes.data)
    frozen = np.frombuffer(bytes(12), np.float32)
    call(frozen, np.zeros(0, np.float32))
    assert recorder.words[:16] == struct.pack("<Qq", frozen.ctypes.data, 3)


def test_results():
    def made(result, returns):
        return caller(Compiled("something", ("int64",), Recorder(result), returns))

    assert made(-3, True)(0) == -3 and made(0, False)(0) is None
    for returns in (True, False):
        with pytest.raises(BackendError, match="the compiled something failed"):
            made(FAILED, returns)(0)


def test_arrays_live_as_long_as_they_may_be_read():
    """During a call, even if nobody else holds them; what is fixed, as long as the function."""

    class Array(np.ndarray):
        pass

    alive = []
    call = caller(Compiled("something", ("float32[]",), lambda words: alive.append(watched() is not None) or 0, False))
    array = np.zeros(3, np.float32).view(Array)
    watched, given_away = weakref.ref(array), [array]
    del array
    call(given_away.pop())
    assert alive == [True] and watched() is None
    array = np.zeros(3, np.float32).view(Array)
    watched, bound = weakref.ref(array), caller(Compiled("something", ("float32[]",), Recorder(), False), {0: array})
    del array
    assert watched() is not None and bound() is None
    with pytest.raises(ValueError, match="resize"):
        watched().resize(1 << 20)
    del bound
    assert watched() is None
