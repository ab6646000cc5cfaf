"""The rotary settings in config.json: rope_theta and rope_scaling, or rope_parameters since transformers 5."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minembed.errors import ConfigError, UnsupportedModelError
from minembed.runtime.json_files import typed
from minembed.weights.families.family import Raw

Rotary = tuple[float, float]  # the base of the angles, and the divisor of positions


def read_rotary(raw: Raw, path: Path, default: float) -> Rotary:
    """The rotary settings of a config.json; refuses all scalings except linear ones.

    >>> read_rotary({"rope_parameters": {"rope_type": "default", "rope_theta": 500}}, Path("config.json"), 1e4)
    (500.0, 1.0)
    """
    if raw.get("rope_scaling") is not None:
        raise UnsupportedModelError(f"{path}: rope_scaling = {raw['rope_scaling']!r} is not supported")
    theta = as_number(raw, path, default, "rope_theta")
    return rotary_of(typed(raw, "rope_parameters", dict, {}, path), path, theta)


def rotary_of(parameters: Mapping[str, Any], path: Path, default: float) -> Rotary:
    """The rotary settings from one entry of rope_parameters.

    >>> rotary_of({"rope_type": "linear", "factor": 2.0}, Path("config.json"), 1e4)
    (10000.0, 2.0)
    """
    kind = parameters.get("rope_type", "default")
    known = {"default": {"rope_theta"}, "linear": {"rope_theta", "factor"}}
    whole = parameters.get("partial_rotary_factor") in (None, 1, 1.0)
    if kind not in known or not whole or set(parameters) - known[kind] - {"rope_type", "partial_rotary_factor"}:
        raise UnsupportedModelError(f"{path}: rope_parameters = {dict(parameters)!r} is not supported")
    return as_number(parameters, path, default, "rope_theta"), as_number(parameters, path, 1.0, "factor")


def read_two(raw: Raw, path: Path, full: tuple[str, float], local: tuple[str, float]) -> tuple[float, float]:
    """The bases for layers with full and with local attention, without scaling; `full` and `local` are key and default.

    >>> read_two({"rope_theta": 7}, Path("config.json"), ("rope_theta", 1e6), ("rope_local", 1e4))
    (7.0, 10000.0)
    """
    parameters, found = typed(raw, "rope_parameters", dict, {}, path), []
    for kind, (key, default) in (("full_attention", full), ("sliding_attention", local)):
        own = typed(parameters, kind, dict, {}, path)
        theta, scaling = rotary_of(own, path, as_number(raw, path, default, key))
        if scaling != 1:
            raise UnsupportedModelError(f"{path}: rope_parameters = {parameters!r} is not supported")
        found.append(theta)
    if raw.get("rope_scaling") is not None:
        raise UnsupportedModelError(f"{path}: rope_scaling = {raw['rope_scaling']!r} is not supported")
    return found[0], found[1]


def global_layers(raw: Raw, path: Path, every: int, first: int) -> tuple[int, int]:
    """The layers with full attention, as n and i for i, i + n, i + 2n, ..., from the list layer_types if there is one.

    >>> kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    >>> global_layers({"layer_types": kinds, "num_hidden_layers": 3}, Path("config.json"), 3, 0)
    (2, 1)
    """
    kinds = raw.get("layer_types")
    if kinds is None:
        return every, first
    if isinstance(kinds, list) and len(kinds) == raw.get("num_hidden_layers"):
        for n in range(1, len(kinds) + 2):
            for first in range(n):
                if kinds == ["sliding_attention" if (i - first) % n else "full_attention" for i in range(len(kinds))]:
                    return n, first
    raise UnsupportedModelError(f"{path}: layer_types = {kinds!r} is not supported: every n-th layer must see all")


def as_number(raw: Raw, path: Path, default: float, key: str) -> float:
    """A setting as a float.

    >>> as_number({"rope_theta": 7}, Path("config.json"), 1.0, "rope_theta")
    7.0
    """
    value = raw.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 1e12:
        raise ConfigError(f"{path}: {key} must be a number of at least 1, not {value!r}")
    return float(value)
