"""AdamW (Loshchilov & Hutter, 2019), in place, with embedding tables of which a step touches a few rows.

A row without a gradient changes too: its averages fade, and it moves on by what is left of them.  Such rows are left
alone until they are needed, and then brought up to date by the very operations that were put off, with the learning
rates of their steps: the weights have the same bits as if every step had gone over the whole table.
"""

import math
from collections.abc import Mapping

import numpy as np

from minembed import backend
from minembed.errors import InputError, TrainingError
from minembed.params import Array
from minembed.threads import run
from minembed.train.trees import Gradient, Rows, add

BLOCK = 1 << 15  # elements: five such arrays stay in a core's second-level cache
SLICE = 1 << 20  # elements that a thread takes at a time


def decays(name: str, array: Array) -> bool:
    """Whether weight decay applies: to matrices and tables, not to biases and norms, as in Hugging Face's Trainer.

    >>> decays("layers.0.output.weight", np.ones((2, 2))), decays("layers.0.output_norm.weight", np.ones(2))
    (True, False)
    """
    return array.ndim > 1 and not name.endswith("bias")


class AdamW:
    """The optimiser: it changes the arrays of `parameters`, and averages of its own, in place, to save their copies.

    `lazy` names the tables whose rows are brought up to date when they are needed: call `catch_up` before they are
    read.  Raises InputError for settings out of range.

    >>> weights = {"w": np.ones((1, 2), np.float32)}
    >>> AdamW(weights).step({"w": np.float32([[1, -1]])}, lr=0.1)
    >>> weights["w"].round(3).tolist()
    [[0.8999999761581421, 1.100000023841858]]
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        lazy: frozenset[str] = frozenset(),
        backend: str = "numpy",
        threads: int = 1,
    ) -> None:
        for label, value, low, high in (
            ("betas[0]", betas[0], 0, 1),
            ("betas[1]", betas[1], 0, 1),
            ("eps", eps, 0, 1),
            ("weight_decay", weight_decay, 0, math.inf),
        ):
            if not low <= value < high:
                raise InputError(f"{label} must be at least {low} and below {high}, not {value!r}")
        self.parameters, self.betas, self.eps, self.weight_decay = dict(parameters), betas, eps, weight_decay
        self.m = {name: np.zeros(p.shape, p.dtype) for name, p in parameters.items()}  # untouched, it takes no memory
        self.v = {name: np.zeros(p.shape, p.dtype) for name, p in parameters.items()}
        self.rates: list[float] = []  # of every step so far
        self.last = {name: np.zeros(len(parameters[name]), np.int64) for name in lazy}  # the step a row is at
        self.moving = {name: np.zeros(len(parameters[name]), np.bool_) for name in lazy}  # has had a gradient
        self._update, self._replay = _kernels(backend)
        self._threads = threads

    def step(self, gradients: Mapping[str, Gradient], lr: float) -> None:
        """Move every parameter.  Those that have no gradient here are left alone, lazy tables but for later."""
        self.catch_up({name: g.indices for name, g in gradients.items() if isinstance(g, Rows)})
        self.catch_up({name: None for name, g in gradients.items() if name in self.last and not isinstance(g, Rows)})
        self.rates.append(float(lr))
        for name, gradient in gradients.items():
            constants = self._constants(name, len(self.rates))
            if isinstance(gradient, Rows):
                self._step_rows(name, gradient, constants)
            else:
                self._step_whole(name, gradient, constants)

    def catch_up(self, rows: Mapping[str, Array | None] | None = None) -> None:
        """Bring rows of lazy tables up to the last step; all of them where no rows are named (None)."""
        wanted = dict.fromkeys(self.last) if rows is None else rows
        now = len(self.rates)
        for name, some in wanted.items():
            if name not in self.last:
                continue
            last = self.last[name]
            behind = np.flatnonzero(last < now) if some is None else np.unique(some[last[some] < now])
            moves = self.moving[name][behind] | (self.weight_decay > 0 and decays(name, self.parameters[name]))
            if moves.any():
                self._catch_up(name, behind[moves], now)
            last[behind] = now

    def _catch_up(self, name: str, rows: Array, now: int) -> None:
        last = self.last[name]
        first = int(last[rows].min())
        table = np.array([self._constants(name, s) for s in range(first + 1, now + 1)], self.parameters[name].dtype)
        arrays = self.parameters[name], self.m[name], self.v[name]
        parts = np.array_split(rows, max(1, min(self._threads, len(rows) // 64)))
        for _ in run(lambda part: self._replay(*arrays, part, last, first, table), parts, self._threads):
            pass

    def _step_whole(self, name: str, gradient: Array, constants: tuple[float, ...]) -> None:
        flats = [a.reshape(-1) for a in (self.parameters[name], self.m[name], self.v[name])]
        flat, c = gradient.reshape(-1), np.array(constants, flats[0].dtype)
        slices = [slice(i, i + SLICE) for i in range(0, len(flat), SLICE)]

        def work(part: slice) -> None:
            self._update(*(a[part] for a in flats), flat[part], c)

        for _ in run(work, slices, self._threads):
            pass
        if name in self.last:
            self.last[name][:], self.moving[name][:] = len(self.rates), True

    def _step_rows(self, name: str, gradient: Rows, constants: tuple[float, ...]) -> None:
        rows, arrays = gradient.indices, (self.parameters[name], self.m[name], self.v[name])
        if name not in self.last:
            dense = np.zeros_like(arrays[0])
            dense[rows] = gradient.values
            self._step_whole(name, dense, constants)
            return
        taken = [np.ascontiguousarray(a[rows]) for a in arrays]
        values = np.ascontiguousarray(gradient.values, arrays[0].dtype).reshape(-1)
        self._update(*(a.reshape(-1) for a in taken), values, np.array(constants, arrays[0].dtype))
        for array, changed in zip(arrays, taken, strict=True):
            array[rows] = changed
        self.last[name][rows], self.moving[name][rows] = len(self.rates), True

    def _constants(self, name: str, step: int) -> tuple[float, ...]:
        """Of a step: by what weights shrink, 1 - beta1, beta2, 1 - beta2, the step's size, sqrt(1 - beta2^t), eps."""
        (one, two), lr = self.betas, self.rates[step - 1]
        decay = self.weight_decay if decays(name, self.parameters[name]) else 0.0
        return 1 - lr * decay, 1 - one, two, 1 - two, lr / (1 - one**step), math.sqrt(1 - two**step), self.eps

    def state(self) -> dict[str, Array]:
        """All that is needed to go on, bit for bit: the arrays themselves, not copies."""
        found = {"rates": np.array(self.rates, np.float64)}
        for label, table in (("m", self.m), ("v", self.v), ("last", self.last), ("moving", self.moving)):
            found |= {f"{label}/{name}": array for name, array in table.items()}
        return found

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a state; raises TrainingError where it is not one of these parameters."""
        wanted = self.state()
        for name, array in wanted.items():
            found = state.get(name)
            if found is None or (name != "rates" and (found.shape != array.shape or found.dtype != array.dtype)):
                raise TrainingError(f"the optimiser's state does not fit these weights: {name}")
        self.rates = np.asarray(state["rates"], np.float64).tolist()
        for name, array in wanted.items():
            if name != "rates":
                array[...] = state[name]


def _kernels(tier: str):  # type: ignore[no-untyped-def]
    if backend.tier(tier, backend.WORTH_LOADING) == "numba":
        return backend.resolve("adamw", "numba"), backend.resolve("adamw_replay", "numba")
    return update, replay


def update(p: Array, m: Array, v: Array, g: Array, constants: Array) -> None:
    """One step of flat arrays, in place, in the order of torch's operations.

    >>> p = np.ones(1)
    >>> update(p, np.zeros(1), np.zeros(1), np.ones(1), np.array([1, 0.1, 0.999, 0.001, 1, 0.001**0.5, 0]))
    >>> p.round(3).tolist()
    [0.9]
    """
    shrink, one, two, rest, size, root, eps = constants
    for i in range(0, len(p), BLOCK):
        part = slice(i, i + BLOCK)
        p_, m_, v_, g_ = p[part], m[part], v[part], g[part]
        p_ *= shrink
        m_ += (g_ - m_) * one
        v_ *= two
        v_ += g_ * g_ * rest
        p_ -= size * (m_ / (np.sqrt(v_) / root + eps))


def replay(p: Array, m: Array, v: Array, rows: Array, last: Array, first: int, table: Array) -> None:
    """The steps without a gradient that some rows have missed; `table` holds the constants from step first + 1 on.

    >>> p, rows, last = np.ones((2, 1)), np.array([1]), np.array([0, 0])
    >>> replay(p, np.ones((2, 1)), np.ones((2, 1)), rows, last, 0, np.array([[1, 0.1, 1, 0, 1, 1, 0]]))
    >>> p[:, 0].round(3).tolist()
    [1.0, 0.1]
    """
    for step, constants in enumerate(table, first + 1):
        some = rows[last[rows] < step]
        taken = [np.ascontiguousarray(a[some]) for a in (p, m, v)]
        update(*(a.reshape(-1) for a in taken), np.zeros(taken[0].size, p.dtype), constants)
        for array, changed in zip((p, m, v), taken, strict=True):
            array[some] = changed


def global_norm(gradients: Mapping[str, Gradient]) -> float:
    """The length of all gradients as one vector, summed in float64.

    >>> global_norm({"a": np.float32([3]), "b": Rows(np.array([7]), np.float32([[4]]))})
    5.0
    """
    total = 0.0
    for _, gradient in sorted(gradients.items()):
        x = (gradient.values if isinstance(gradient, Rows) else gradient).reshape(-1)
        for i in range(0, len(x), BLOCK):
            part = x[i : i + BLOCK].astype(np.float64)
            total += float(part @ part)
    return math.sqrt(total)


def clip(gradients: Mapping[str, Gradient], max_norm: float) -> float:
    """Shorten all gradients, in place, to a common length of at most max_norm; returns the length before.

    Where that is not finite, nothing is changed.  As torch's clip_grad_norm_.

    >>> g = {"a": np.float32([3, 4])}
    >>> clip(g, 1.0), g["a"].round(3).tolist()
    (5.0, [0.6000000238418579, 0.800000011920929])
    """
    norm = global_norm(gradients)
    if math.isfinite(norm) and norm > max_norm:
        for gradient in gradients.values():
            values = gradient.values if isinstance(gradient, Rows) else gradient
            values *= values.dtype.type(max_norm / (norm + 1e-6))
    return norm


def accumulate(total: dict[str, Gradient], gradients: Mapping[str, Gradient]) -> None:
    """Add gradients to a total, in place.

    >>> total = {}
    >>> accumulate(total, {"a": np.ones(2)})
    >>> accumulate(total, {"a": np.ones(2)})
    >>> total["a"].tolist()
    [2.0, 2.0]
    """
    for name, gradient in gradients.items():
        total[name] = add(total[name], gradient) if name in total else gradient


def scale(gradients: Mapping[str, Gradient], factor: float) -> None:
    """Multiply all gradients, in place.

    >>> g = {"a": np.ones(2)}
    >>> scale(g, 0.5)
    >>> g["a"].tolist()
    [0.5, 0.5]
    """
    for gradient in gradients.values():
        values = gradient.values if isinstance(gradient, Rows) else gradient
        values *= values.dtype.type(factor)
