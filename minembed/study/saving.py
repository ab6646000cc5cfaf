"""Traces as files."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from minembed.errors import InputError
from minembed.runtime.files import replacing
from minembed.runtime.safetensors_files import header_of, layout_of

if TYPE_CHECKING:
    from minembed.study.traced import Trace


def save_trace(trace: "Trace", path: str | os.PathLike[str]) -> None:
    """Write a trace as a safetensors file, atomically; what is not an array is in its metadata, as JSON.

    Raises InputError for another ending than .safetensors.
    """
    check_ending(path)
    steps = {name: trace.steps[name] for name in trace}
    facts = {
        "text": json.dumps(trace.text),
        "pieces": json.dumps(trace.pieces),
        "dtype": trace.dtype,
        "formulas": json.dumps({name: step.formula for name, step in steps.items()}),
        "axes": json.dumps({name: step.axes for name, step in steps.items()}),
        "inputs": json.dumps({name: step.inputs for name, step in steps.items()}),
    }
    arrays = dict(trace.items())
    with replacing(Path(path)) as file:
        file.write(header_of(layout_of(arrays), facts))
        for x in arrays.values():
            file.write(x.tobytes())


def check_ending(path: str | os.PathLike[str]) -> None:
    """Raise InputError if a file name does not end in .safetensors.

    >>> check_ending("trace.txt")
    Traceback (most recent call last):
    minembed.errors.InputError: trace.txt: a trace is written as safetensors; end its name in .safetensors
    """
    if Path(path).suffix != ".safetensors":
        raise InputError(f"{os.fspath(path)}: a trace is written as safetensors; end its name in .safetensors")
