"""AdamW (Loshchilov & Hutter, 2019), in place, with embedding tables of which a step uses only a few rows.

A row without a gradient changes too: its averages decay, and it still moves by what is left of them.  Such rows are
skipped until they are needed, and then brought up to date by exactly the postponed operations, with the learning rates
of their steps: the weights have the same bits as if every step had updated the whole table.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from minembed.errors import InputError, InputTypeError, TrainingError
from minembed.runtime import backend
from minembed.runtime.threads import run
from minembed.train.backward.trees import Gradient, Rows
from minembed.types import Array

BLOCK = 1 << 14  # elements: p, m, v, g and two more arrays, 384 KB in float32, stay in a core's second-level cache
SLICE = 1 << 18  # elements that a thread updates at a time,
ROWS = 1 << 16  # and elements of rows that catch up: few rows are far behind, and smaller parts would need more calls
Job = Callable[[], None]


def decays(name: str, array: Array) -> bool:
    """Whether weight decay applies: to matrices and tables, not to biases and norms, as in Hugging Face's Trainer.

    >>> decays("layers.0.output.weight", np.ones((2, 2))), decays("layers.0.output_norm.weight", np.ones(2))
    (True, False)
    """
    return array.ndim > 1 and not name.endswith("bias")


class AdamW:
    """The optimiser: it changes the arrays of `parameters`, and its own averages, in place, to avoid copies.

    `lazy` names the tables whose rows are only brought up to date when they are needed: call `catch_up` before they are
    read.  Neither that, nor the backend, nor the number of threads changes a bit.  Raises InputError for settings out
    of range, and for arrays that cannot be changed in place.

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
        _check_settings(betas, eps, weight_decay)
        _check_parameters(parameters, eps, lazy)
        self.parameters, self.betas, self.eps, self.weight_decay = dict(parameters), betas, eps, weight_decay
        self.m = {name: np.zeros(p.shape, p.dtype) for name, p in parameters.items()}  # no memory until written
        self.v = {name: np.zeros(p.shape, p.dtype) for name, p in parameters.items()}
        self.rates: list[float] = []  # of every step so far
        self.last = {name: np.zeros(len(parameters[name]), np.int64) for name in lazy}  # the last step of each row
        self.moving = {name: np.zeros(len(parameters[name]), np.bool_) for name in lazy}  # has had a gradient
        self._update, self._replay = _kernels(backend)
        self._threads = threads

    def step(self, gradients: Mapping[str, Gradient], lr: float) -> None:
        """Update every parameter that has a gradient; a lazy table needs one at every step, if only for a few rows.

        The caller checks that gradients are finite (see `clip`).  Raises InputError if they do not fit the parameters,
        or for a learning rate below 0.
        """
        if not 0 <= lr < math.inf:
            raise InputError(f"the learning rate must be a finite number of at least 0, not {lr!r}")
        for name in {*gradients, *self.last}:
            _check_gradient(name, self.parameters.get(name), gradients.get(name))
        self.catch_up({name: g.indices if isinstance(g, Rows) else None for name, g in gradients.items()})
        self.rates.append(float(lr))
        jobs: list[Job] = []
        for name, gradient in gradients.items():
            constants = np.array(self._constants(name, len(self.rates)), self.parameters[name].dtype)
            if isinstance(gradient, Rows) and name in self.last:
                jobs.append(partial(self._step_rows, name, gradient, constants))
            else:
                jobs.extend(self._step_whole(name, gradient, constants))
        self._do(jobs)

    def catch_up(self, rows: Mapping[str, Array | None] | None = None) -> None:
        """Bring rows of lazy tables up to the last step; all rows if none are named (None).

        Rows may be named in any order and more than once; names of other parameters are ignored.  Raises InputError for
        a row that does not exist.
        """
        wanted = dict.fromkeys(self.last) if rows is None else rows
        now = len(self.rates)
        for name, some in wanted.items():
            if name not in self.last:
                continue
            last = self.last[name]
            if some is not None:
                _check_rows(name, some, len(last))
            behind = np.flatnonzero(last < now) if some is None else np.unique(some[last[some] < now])
            self._catch_up(name, behind[np.argsort(last[behind], kind="stable")])
            last[behind] = now

    def _catch_up(self, name: str, rows: Array) -> None:
        """Compute the steps that rows have missed; `rows` begins with those that are furthest behind."""
        moving = self.moving[name][rows]
        p, m, v, last = self.parameters[name], self.m[name], self.v[name], self.last[name]
        height = max(1, ROWS // max(1, p.shape[1]))
        jobs: list[Job] = []
        for moves, some in ((True, rows[moving]), (False, rows[~moving])):
            shrinks = self.weight_decay > 0 and decays(name, p)
            if not len(some) or not (moves or shrinks):
                continue
            first = int(last[some[0]])
            table = np.array([self._constants(name, s) for s in range(first + 1, len(self.rates) + 1)], p.dtype)
            for i in range(0, len(some), height):
                part = some[i : i + height], last, first
                whole = partial(self._replay, p, m, v, *part, table)
                jobs.append(whole if moves else partial(_shrink, p, *part, table[:, 0]))
        self._do(jobs)

    def _step_whole(self, name: str, gradient: Gradient, constants: Array) -> Iterator[Job]:
        p = self.parameters[name]
        if isinstance(gradient, Rows):
            dense = np.zeros_like(p)
            dense[gradient.indices] = gradient.values
            gradient = dense
        if name in self.last:
            self.last[name][:], self.moving[name][:] = len(self.rates), True
        flats = [a.reshape(-1) for a in (p, self.m[name], self.v[name], np.ascontiguousarray(gradient, p.dtype))]
        for i in range(0, p.size, SLICE):
            yield partial(self._update, *(a[i : i + SLICE] for a in flats), constants)

    def _step_rows(self, name: str, gradient: Rows, constants: Array) -> None:
        rows, arrays = gradient.indices, (self.parameters[name], self.m[name], self.v[name])
        taken = [np.ascontiguousarray(a[rows]) for a in arrays]
        values = np.ascontiguousarray(gradient.values, arrays[0].dtype).reshape(-1)
        self._update(*(a.reshape(-1) for a in taken), values, constants)
        for array, changed in zip(arrays, taken, strict=True):
            array[rows] = changed
        self.last[name][rows], self.moving[name][rows] = len(self.rates), True

    def _do(self, jobs: list[Job]) -> None:
        """Run jobs on threads; every element is computed independently, so their order does not matter."""
        for _ in run(lambda job: job(), jobs, self._threads):
            pass

    def _constants(self, name: str, step: int) -> tuple[float, ...]:
        """Constants of a step: weight decay factor, 1 - beta1, beta2, 1 - beta2, step size, sqrt(1 - beta2^t), eps."""
        (one, two), lr = self.betas, self.rates[step - 1]
        decay = self.weight_decay if decays(name, self.parameters[name]) else 0.0
        return 1 - lr * decay, 1 - one, two, 1 - two, lr / (1 - one**step), math.sqrt(1 - two**step), self.eps

    def state(self) -> dict[str, Array]:
        """Everything that is needed to continue, bit for bit: the arrays themselves, not copies."""
        found: dict[str, Array] = {"rates": np.array(self.rates, np.float64)}
        for label, table in (("m", self.m), ("v", self.v), ("last", self.last), ("moving", self.moving)):
            found |= {f"{label}/{name}": array for name, array in table.items()}
        return found

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from a state; raises TrainingError, and changes nothing, if it does not fit these parameters."""
        wanted = self.state()
        if unknown := sorted(set(state) - set(wanted)):
            raise TrainingError(f"the optimiser's state does not fit these weights: {unknown[0]} is not among them")
        for name, array in wanted.items():
            found = state.get(name)
            if found is None or (name != "rates" and (found.shape != array.shape or found.dtype != array.dtype)):
                raise TrainingError(f"the optimiser's state does not fit these weights: {name}")
        self.rates = np.asarray(state["rates"], np.float64).tolist()
        for name, array in wanted.items():
            if name != "rates":
                array[...] = state[name]


def _kernels(tier: str) -> list[Callable[..., None]]:
    chosen = backend.serving(tier, backend.WORTH_LOADING)
    return [backend.resolve(operation, chosen) for operation in ("adamw", "adamw_replay")]


def _check_settings(betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    for label, value, low, high in (
        ("betas[0]", betas[0], 0, 1),
        ("betas[1]", betas[1], 0, 1),
        ("eps", eps, math.ulp(0), 1),  # 0 would cause 0 / 0 for a gradient that is always 0
        ("weight_decay", weight_decay, 0, math.inf),
    ):
        if not low <= value < high:
            raise InputError(f"{label} must be at least {low} and below {high}, not {value!r}")


def _check_parameters(parameters: Mapping[str, Array], eps: float, lazy: frozenset[str]) -> None:
    for name, p in parameters.items():
        if not isinstance(p, np.ndarray) or p.dtype not in (np.float32, np.float64):
            raise InputTypeError(f"{name} must be an array of float32 or float64, not {getattr(p, 'dtype', type(p))}")
        if not (p.flags.c_contiguous and p.flags.writeable):
            raise InputError(f"{name} cannot be changed in place, since it is strided or read-only: give a copy")
        if not p.dtype.type(eps) > 0:
            raise InputError(f"eps {eps} is 0 in {p.dtype}, which {name} has")
    for name in sorted(lazy):
        if name not in parameters or parameters[name].ndim != 2:
            raise InputError(f"{name!r} is said to be lazy, but is no parameter with rows")


def _check_gradient(name: str, p: Array | None, gradient: Gradient | None) -> None:
    if p is None:
        raise InputError(f"there is a gradient of {name!r}, but no such parameter")
    if gradient is None:
        raise InputError(f"{name} is lazy and needs a gradient at every step: Rows, of no rows if it was not read")
    if isinstance(gradient, Rows):
        _check_rows(name, gradient.indices, len(p))
        if (np.diff(gradient.indices) <= 0).any():
            raise InputError(f"the rows of the gradient of {name} must be in ascending order, each once")
        shape, values = (len(gradient.indices), *p.shape[1:]), gradient.values
    else:
        shape, values = p.shape, gradient
    if values.shape != shape:
        raise InputError(f"the gradient of {name} must have the shape {shape}, not {values.shape}")


def _check_rows(name: str, rows: Array, length: int) -> None:
    if len(rows) and not 0 <= rows.min() <= rows.max() < length:
        raise InputError(
            f"{name} has no row {int(rows.min() if rows.min() < 0 else rows.max())}, but 0 to {length - 1}"
        )


def update(p: Array, m: Array, v: Array, g: Array, constants: Array) -> None:
    """One step on flat arrays, in place, in the order of torch's operations.

    >>> p = np.ones(1)
    >>> update(p, np.zeros(1), np.zeros(1), np.ones(1), np.array([1, 0.1, 0.999, 0.001, 1, 0.001**0.5, 0]))
    >>> p.round(3).tolist()
    [0.9]
    """
    shrink, one, two, rest, size, root, eps = constants
    room, more = np.empty((2, min(len(p), BLOCK)), p.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(0, len(p), BLOCK):
            part = slice(i, i + BLOCK)
            p_, m_, v_, g_ = p[part], m[part], v[part], g[part]
            a, b = room[: len(p_)], more[: len(p_)]
            p_ *= shrink
            np.subtract(g_, m_, out=a)  # m += (g - m) (1 - beta1)
            a *= one
            m_ += a
            v_ *= two  # v = v beta2 + g^2 (1 - beta2)
            np.multiply(g_, g_, out=a)
            a *= rest
            v_ += a
            np.sqrt(v_, out=a)  # p -= size m / (sqrt(v) / root + eps)
            a /= root
            a += eps
            np.divide(m_, a, out=b)
            b *= size
            p_ -= b


def replay(p: Array, m: Array, v: Array, rows: Array, last: Array, first: int, table: Array) -> None:
    """Compute the steps without a gradient that rows have missed; `table` has the constants from step first + 1 on.

    Rows are in the order of `last`, the last step of each: the rows that missed a given step are always the first ones.

    >>> p, rows, last = np.ones((2, 1)), np.array([1]), np.array([0, 0])
    >>> replay(p, np.ones((2, 1)), np.ones((2, 1)), rows, last, 0, np.array([[1, 0.1, 1, 0, 1, 1, 0]]))
    >>> p[:, 0].round(3).tolist()
    [1.0, 0.1]
    """
    taken = p[rows], m[rows], v[rows]
    zero = np.zeros_like(taken[0])
    for n, constants in _missed(rows, last, first, table):
        p_, m_, v_, g_ = (a[:n].reshape(-1) for a in (*taken, zero))
        update(p_, m_, v_, g_, constants)
    p[rows], m[rows], v[rows] = taken


def _shrink(p: Array, rows: Array, last: Array, first: int, factors: Array) -> None:
    """The same for rows that never had a gradient: their averages are 0, and only the decay remains."""
    taken = p[rows]
    with np.errstate(over="ignore", invalid="ignore"):  # as in update
        for n, factor in _missed(rows, last, first, factors):
            taken[:n] *= factor
    p[rows] = taken


def _missed(rows: Array, last: Array, first: int, table: Array) -> Iterator[tuple[int, Array]]:
    """For each step, how many rows (the first ones) missed it, and its constants."""
    starts = last[rows] - first
    for step in range(int(starts[0]), len(table)):
        yield int(np.searchsorted(starts, step, side="right")), table[step]
