"""Arrays beside protected pages: a read or a write beyond an array ends the process.

`Guarded` stands in front of compiled functions, just in time or out of a library, and moves each array of a call so
that it ends, or begins, at such a page.  Run it in a process of its own:

    python guarded.py encode|search|train SIDE BACKEND SEED NUMBER      SIDE: end, begin, or beyond (which must fail)
"""

import ctypes
import mmap
import sys
from dataclasses import dataclass, field

import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE


class Fenced:
    """A copy of an array between two pages without rights."""

    def __init__(self, array, side):
        room = -(-max(array.nbytes, 1) // PAGE) * PAGE
        self.memory = mmap.mmap(-1, room + 2 * PAGE)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        at = PAGE + (room - array.nbytes if side == "end" else 0)
        self.array = np.frombuffer(self.memory, array.dtype, array.size, at).reshape(array.shape)
        self.array[...] = array
        self.array.flags.writeable = array.flags.writeable
        for page in (self.base, self.base + PAGE + room):
            assert LIBC.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0, ctypes.get_errno()


@dataclass
class Guarded:
    """Compiled functions whose arrays are fenced while they are called."""

    entries: object
    side: str
    kept: dict = field(default_factory=dict)  # by the address and the size of an array that stays as it is

    @property
    def backend(self):
        return self.entries.backend

    def compile(self, names):
        self.entries.compile(names)

    def is_compiled(self, names):
        return self.entries.is_compiled(names)

    def _fence(self, value):
        if isinstance(value, tuple) and any(isinstance(each, np.ndarray) for each in value):
            return tuple(map(self._fence, value))
        return Fenced(value, self.side).array if isinstance(value, np.ndarray) else value

    def _give_back(self, value, fenced):
        if isinstance(value, tuple):
            for each, other in zip(value, fenced, strict=True):
                self._give_back(each, other)
        elif isinstance(value, np.ndarray) and value.flags.writeable:
            value[...] = fenced

    def __getitem__(self, name):
        function = self.entries[name]

        def call(*given):
            fenced = [self._fence(each) for each in given]
            result = function(*fenced)
            for each, other in zip(given, fenced, strict=True):
                self._give_back(each, other)
            return result

        return call

    def bind(self, name, fixed):
        from minembed.kernels.entries import ENTRIES

        function, places = self[name], [i for i in range(len(ENTRIES[name].kinds)) if i not in fixed]
        still = {place: self._fence(value) for place, value in fixed.items()}  # only read: fenced once

        def call(*given):
            arguments = dict(zip(places, given, strict=True)) | still
            return function(*(arguments[i] for i in range(len(arguments))))

        return call


def entries_of(backend, side):
    """The compiled functions of a backend, fenced."""
    if backend == "native":
        from minembed.kernels.compiled.ahead_of_time import open_native

        return Guarded(open_native(), side)
    from minembed.kernels.compiled.just_in_time import JIT

    return Guarded(JIT, side)


def encode(entries, seed, number):
    """Encoders of random architectures, in each type, on random texts: the bits that they have elsewhere."""
    from any_encoder import architecture_of, params_of, tokens_of

    from minembed.kernels.encoder import tier
    from minembed.transformer.quantization import lower

    dice = np.random.default_rng(seed)
    for i in range(number):
        if i % 10 == 0:
            architecture = architecture_of(seed * 1000 + i, positions=600)
            params, dtype = params_of(architecture), ("float32", "bfloat16", "int8")[i // 10 % 3]
            lowered = lower(params, dtype)
            plain = tier.pack_on_vectors(lowered, architecture.config, dtype, entries.entries)
            fenced = tier.pack_on_vectors(lowered, architecture.config, dtype, entries)
        longest = int(dice.choice([3, 20, 100, 600]))
        lengths = dice.integers(1, longest + 1, int(dice.integers(1, 5))).tolist()
        tokens = tokens_of(lengths, architecture.config, seed=i)
        assert fenced(tokens).tobytes() == plain(tokens).tobytes(), (seed, i)
        assert fenced.one_row(tokens, "cls").tobytes() == plain.one_row(tokens, "cls").tobytes(), (seed, i)


def searches(seed, number, rows, width, queries):
    """Searches of sizes below these, in each metric in turn; two of three have a copy of their rows in bytes."""
    from minembed.search.metrics import METRICS
    from minembed.search.quantized import quantize_corpus
    from minembed.search.topk import Search

    dice = np.random.default_rng(seed)
    for i in range(number):
        shape = int(dice.integers(1, rows)), int(dice.integers(1, width))
        asked = int(dice.integers(1, queries))
        corpus = dice.standard_normal(shape, dtype=np.float32)
        vectors, k = dice.standard_normal((asked, shape[1])), min(shape[0], int(dice.integers(1, 12)))
        wanted = Search.of(vectors, k, METRICS[("dot", "cosine", "euclidean", "manhattan")[i % 4]])
        yield wanted, corpus, quantize_corpus(corpus) if i % 3 else None


def search(entries, seed, number):
    """Searches of any size, on rows and on bytes, in each metric: what is kept, and its scores, as without fences."""
    from minembed.kernels.topk import tier

    for i, (wanted, corpus, copy) in enumerate(searches(seed, number, rows=400, width=200, queries=20)):
        found = []
        for each in (entries, entries.entries):
            which, row = tier.scan(wanted, corpus, 1, copy, each)
            found.append([x.tobytes() for x in (which, row, tier.rescore(wanted, corpus, which, row, 1, each))])
        assert found[0] == found[1], (seed, i)


def train(entries, seed, number, most=(300, 200, 16), look=lambda *arrays: None):
    """All kernels of a training step, forward and backward, and the optimiser; `look` sees what they computed.

    most: of tokens, inputs and sixteens of outputs.
    """
    from minembed.kernels.training.operations import StepOperations
    from minembed.transformer.params import Linear, Norm

    dice = np.random.default_rng(seed)
    for i in range(number):
        T, K, N = (int(dice.integers(1, size)) * each for size, each in zip(most, (1, 1, 16), strict=True))
        x, dy, y = (dice.standard_normal(shape, dtype=np.float32) for shape in ((T, K), (T, N), (T, K)))
        weight, scale = dice.standard_normal((K, N), dtype=np.float32), dice.standard_normal(K, dtype=np.float32)
        linear, norm = Linear(weight, weight[0].copy()), Norm(scale, scale.copy())

        def all_of(operations, x=x, dy=dy, y=y, linear=linear, norm=norm):
            dx, slopes = operations.linear_vjp(x, linear, dy)
            dn, norms = operations.layer_norm_vjp(x, norm, 1e-5, y)
            soft = operations.softmax(x)
            yield from (operations.linear(x, linear), dx, slopes.weight, slopes.bias, dn, norms.weight, norms.bias)
            yield from (operations.layer_norm(x, norm, 1e-5), soft, operations.softmax_vjp(soft, y))
            yield from (operations.gelu(x), operations.gelu_vjp(x, y))

        found = [[*all_of(StepOperations(each))] for each in (entries, entries.entries)]
        look(*found[0])
        assert [a.tobytes() for a in found[0]] == [a.tobytes() for a in found[1]], (seed, i)
        for dtype in (np.float32, np.float64):
            flat = np.abs(dice.standard_normal((5, T))).astype(dtype)
            updated = []
            for each in (entries, entries.entries):
                arrays = [*flat[:4].copy(), np.resize(flat[4], 16)]
                each[f"update_{np.dtype(dtype).name}"](*arrays)
                look(*arrays)
                updated.append([a.tobytes() for a in arrays])
            assert updated[0] == updated[1], (seed, i)


def beyond(entries, seed, number):
    """A read beyond the end, which must end this process."""
    array = Fenced(np.zeros(7, np.float32), "end").array
    assert ctypes.c_float.from_address(array.ctypes.data + array.itemsize * (6 + number)).value == 0


if __name__ == "__main__":
    part, side, backend, *numbers = sys.argv[1:]
    globals()[part](entries_of(backend, side), *map(int, numbers))
    print("whole")
