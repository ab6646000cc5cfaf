"""Compute the steps of a graph from given values of some of them; and convert a graph to float64."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace

import numpy as np

from minembed.study.graph import Graph
from minembed.study.rules import Rows, Rule
from minembed.transformer.modules import DenseParams
from minembed.transformer.params import Layer, Linear, Norm, tree_map
from minembed.types import Array


def compute(graph: Graph, given: Mapping[str, Array], until: str | None = None) -> dict[str, Array]:
    """The arrays of all steps, or of those up to one, by name; those in `given` are used unchanged.

    >>> from minembed.study.rules import Sum
    >>> from minembed.study.step import Step
    >>> graph = {"x": Step("x", (), (), (), "", None), "y": Step("y", ("x", "x"), (), (), "", Sum())}
    >>> compute(graph, {"x": np.ones(1)}, "y")["y"].tolist()
    [2.0]
    """
    values: dict[str, Array] = {}
    for name, step in graph.items():
        found = given.get(name)
        values[name] = step.rule(*(values[i] for i in step.inputs)) if found is None else found
        if name == until:
            break
    return values


def dependents(graph: Graph, names: Iterable[str]) -> set[str]:
    """The names of all steps that are computed from some steps, including these.

    >>> from minembed.study.step import Step
    >>> a, b = Step("a", (), (), (), "", None), Step("b", ("a",), (), (), "", None)
    >>> sorted(dependents({"a": a, "b": b}, ["a"]))
    ['a', 'b']
    """
    found = set(names)
    for name, step in graph.items():
        if found.intersection(step.inputs):
            found.add(name)
    return found


def widened(graph: Graph) -> Graph:
    """The same steps with weights in float64: for tables only the rows of the text.

    Constants that the model itself rounds to float32, such as the angles of rotations, stay as they are.

    >>> from minembed.study.step import Step
    >>> step = Step("x", (), (), (), "", Rows(np.ones((9, 2), np.float32), np.array([7])))
    >>> widened({"x": step})["x"].rule().dtype
    dtype('float64')
    """
    return {name: replace(step, rule=_wide(step.rule)) for name, step in graph.items()}


def _wide(rule: Rule) -> Rule:
    if isinstance(rule, Rows):
        return Rows(rule.table[rule.indices].astype(np.float64), np.arange(len(rule.indices)))
    if not is_dataclass(rule) or isinstance(rule, type):
        return rule
    weights = {f.name: getattr(rule, f.name) for f in fields(rule)}
    kinds = Linear | Norm | Layer | DenseParams
    wide = {name: tree_map(_double, p) for name, p in weights.items() if isinstance(p, kinds)}
    found: Rule = replace(rule, **wide)
    return found


def _double(x: Array) -> Array:
    return x.astype(np.float64)
