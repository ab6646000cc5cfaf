"""The intermediate results of one text, by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minembed.errors import InputKeyError, NumericalError
from minembed.runtime.pickling import reduced
from minembed.runtime.threads import single_threaded_blas
from minembed.study.graph import Graph
from minembed.transformer.tokens import Tokens
from minembed.types import Array

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, slots=True, eq=False)
class Trace(Mapping[str, Array]):
    """The intermediate results of one text: a mapping from names to read-only arrays, in the order of the encoder.

    `print(t.table())` lists names, axes, formulas and the source of each.
    """

    text: str  # with its prompt
    tokens: Tokens  # of this text alone
    pieces: tuple[str, ...]  # (N,) tokens as in the vocabulary: "[CLS]", "##ing"
    special: Array  # (N,) bool: whether a token is a special one
    steps: Graph  # all steps, also those that were not kept
    dtype: str  # the compute type
    backend: str  # the model's own; a trace is computed by the NumPy tier in the same dtype
    distance: float  # the largest difference between a number of the vector and that of `encode` with that backend;
    # 0 for an edited text, which no other tier computes
    arrays: Mapping[str, Array] = field(repr=False)
    changed: frozenset[str] = frozenset()  # the edited steps, which `verify` skips

    def __getitem__(self, name: str) -> Array:
        """The array of a name; raises InputKeyError with similar names."""
        if name in self.arrays:
            return self.arrays[name]
        near = [other for other in self.steps if str(name).split(".")[-1] in other][:4]
        why = "was not asked for" if name in self.steps else f"does not exist; there is {', '.join(near) or 'no such'}"
        raise InputKeyError(f"{name!r} {why}")

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of the encoder."""
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it picklable: its mappings are read-only."""
        return reduced(self)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 40 else self.text[:39] + "…"
        return f"Trace({text!r}, {len(self.pieces)} tokens, {len(self)} results, {self.dtype})"

    def _repr_html_(self) -> str:
        """The display in a notebook: `minembed.study.notebook.trace_html`."""
        from minembed.study.notebook import trace_html

        return trace_html(self)

    def table(self) -> str:
        """All kept results, one line each: name, axes, shape, formula, source."""
        lines = [self.steps[name] for name in self]
        wide = max((len(step.name) for step in lines), default=0)
        form = "{:<" + str(wide) + "}  {:<22}  {:<48}  {}"
        return "\n".join(
            form.format(s.name, f"({', '.join(s.axes)}) {'x'.join(map(str, s.shape))}", s.formula, s.source)
            for s in lines
        )

    def verify(self) -> int:
        """Compute every result again whose inputs were kept, and compare bits; returns the number of results.

        Raises NumericalError that names the first result that differs.
        """
        checked = 0
        with np.errstate(all="ignore"), single_threaded_blas():
            for name, x in self.arrays.items():
                step = self.steps[name]
                if name not in self.changed and all(before in self.arrays for before in step.inputs):
                    again = step.rule(*(self.arrays[before] for before in step.inputs))
                    if not np.array_equal(again, x, equal_nan=True):
                        off = float(np.nanmax(np.abs(again.astype(np.float64) - x)))
                        raise NumericalError(f"{name} is not {step.formula} of {', '.join(step.inputs)}: off by {off}")
                    checked += 1
        return checked

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write the arrays to a safetensors file, with the text, its pieces, formulas and axes in its metadata."""
        from minembed.study.saving import save_trace

        save_trace(self, path)
