"""Run a call in one package or the other, and say what came back in a form that can be kept and compared."""

import ast
import base64
import contextlib
import os
import re
import warnings
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from published_calls.given import SHARED
from published_calls.models import MINILM, NAMES

REFERENCE, OURS = "sentence_transformers", "minembed.sentence_transformers"
MARK = re.compile(r"\b(from|import) sentence_transformers\b")
PLACES = re.compile("|".join(re.escape(f'"{name}"') for name in sorted((MINILM, *NAMES), key=len, reverse=True)))


def is_there(package):
    """Whether a package that a call needs can be imported; a folder of that name on the path is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


class Runner:
    """Runs calls in one package, each in a folder of its own; what many calls begin with is run once."""

    def __init__(self, package, models, folder):
        self.package, self.models, self.folder = package, models, Path(folder)
        self.begun = {}

    def translate(self, code):
        """The code as a user of the package has it: another import line, and models by where they lie."""
        code = MARK.sub(rf"\1 {self.package}", code)
        return PLACES.sub(lambda name: repr(self.models.place(name[0].strip('"'))), code)

    def begin(self, given):
        """The names that the lines before a call leave; those of given.SHARED are made once, and only read."""
        names = {}
        for part in given:
            if part in SHARED:
                if part not in self.begun:
                    self.begun[part] = {}
                    exec(self.translate(part), self.begun[part])
                names |= self.begun[part]
            else:
                exec(self.translate(part), names)
        return names

    def run(self, call):
        """Run a call and return its result."""
        own = self.folder / "".join(c if c.isalnum() else "-" for c in call.name)
        own.mkdir()
        with quietly_in(own):
            names = self.begin(call.given)
            tree = ast.parse(self.translate(call.code))
            last = tree.body[-1]
            if isinstance(last, ast.Expr) and not call.result:
                exec(compile(ast.Module(tree.body[:-1], []), call.name, "exec"), names)
                return eval(compile(ast.Expression(last.value), call.name, "eval"), names)
            exec(compile(tree, call.name, "exec"), names)
            if call.result:
                return eval(self.translate(call.result), names)
            named = isinstance(last, ast.Assign) and isinstance(last.targets[0], ast.Name)
            return names[last.targets[0].id] if named else None


@contextlib.contextmanager
def quietly_in(folder):
    """In a folder, nothing is printed and no warning is an error: what a call returns is what is compared."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                yield
    finally:
        os.chdir(before)


def is_tensor(value):
    """Whether this is a tensor of torch, told without importing torch."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "numpy")


def record(value):
    """A result as JSON: kinds of containers, arrays with dtype, shape and bytes, plain values with their types."""
    if is_tensor(value):
        return record(value.detach().cpu().numpy()) | {"kind": "tensor"}
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return {
            "kind": "array",
            "dtype": array.dtype.str,
            "shape": array.shape,
            "data": base64.b85encode(array.tobytes()).decode(),
        }
    if isinstance(value, np.generic):
        return {"kind": "number", "dtype": value.dtype.str, "value": value.item()}
    if isinstance(value, Enum):
        return record(value.value)
    if isinstance(value, dict):
        return {"kind": "dict", "items": [[record(key), record(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"kind": type(value).__name__, "items": [record(item) for item in value]}
    assert value is None or isinstance(value, str | int | float | bool), type(value)
    return value


def array_of(kept):
    """The array of a record."""
    return np.frombuffer(base64.b85decode(kept["data"]), kept["dtype"]).reshape(kept["shape"])


def differences(call, expected, found, tensors=True, path="result"):
    """Say where a record differs from another: in structure, in types, or by more than the call allows.

    Floats may be `call.within` apart, or that share of the largest.  `tensors` says whether tensors must be tensors:
    without torch there are arrays in their place.
    """
    if not isinstance(expected, dict):
        same = type(expected) is type(found)
        if isinstance(expected, float) and same:
            return near(call, path, np.float64(expected), np.float64(found))
        return [] if same and expected == found else [f"{path} is {found!r}, not {expected!r}"]
    if not isinstance(found, dict) or plain(found["kind"], tensors) != plain(expected["kind"], tensors):
        kind = found["kind"] if isinstance(found, dict) else type(found).__name__
        return [f"{path} is a {kind}, not a {expected['kind']}"]
    if "data" in expected:
        return of_arrays(call, path, expected, found)
    if expected["kind"] == "number":
        if expected["dtype"] != found["dtype"]:
            return [f"{path} is {found['dtype']}, not {expected['dtype']}"]
        return differences(call, expected["value"], found["value"], tensors, path)
    ours, theirs = found["items"], expected["items"]
    if len(ours) != len(theirs):
        return [f"{path} has {len(ours)} entries, not {len(theirs)}"]
    if expected["kind"] == "dict":
        ours, theirs = dict_of(ours), dict_of(theirs)
        if ours.keys() != theirs.keys():
            return [f"{path} has the keys {list(ours)}, not {list(theirs)}"]
        parts = [(theirs[key], ours[key], f"{path}[{key}]") for key in theirs]
    else:
        parts = [(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(theirs, ours, strict=True))]
    return [line for a, b, name in parts for line in differences(call, a, b, tensors, name)]


def dict_of(items):
    """The entries of a dict by their keys' repr."""
    return {repr(key): value for key, value in items}


def plain(kind, tensors):
    """A kind; where tensors may be arrays, an array."""
    return "array" if kind == "tensor" and not tensors else kind


def of_arrays(call, path, expected, found):
    """Say how arrays differ."""
    if (expected["dtype"], list(expected["shape"])) != (found["dtype"], list(found["shape"])):
        return [f"{path} is {found['dtype']} {found['shape']}, not {expected['dtype']} {expected['shape']}"]
    theirs, ours = array_of(expected), array_of(found)
    if theirs.dtype.kind == "f":
        return near(call, path, theirs, ours)
    apart = np.abs(theirs.astype(np.int64) - ours.astype(np.int64))
    few = not call.exact and apart.max(initial=0) <= 1 and (apart > 0).mean() <= EDGES
    return [] if few or not apart.any() else [f"{path} differs in {(apart > 0).sum()} of {apart.size} integers"]


EDGES = 0.05  # the share of int8 values that may be one step off; the ends of each range lie on the edge of a step


def near(call, path, theirs, ours):
    """Say how far apart floats are, if it is more than the call allows."""
    limit = call.within * max(1.0, float(np.abs(theirs).max(initial=0)))
    apart = float(np.abs(theirs.astype(np.float64) - ours).max(initial=0))
    return [] if apart <= limit else [f"{path} is {apart:.1e} off, more than {limit:.1e}"]
