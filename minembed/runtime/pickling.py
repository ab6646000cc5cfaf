"""Pickle dataclasses with read-only mappings, which Python itself cannot pickle."""

from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np


def reduced(value: Any) -> tuple[Any, ...]:
    """The result for `__reduce__` of a dataclass, so that `pickle` and `copy` restore its read-only mappings.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Measures:
    ...     by_name: dict
    >>> again, how = reduced(Measures(MappingProxyType({"a": 1})))
    >>> again(*how)
    Measures(by_name=mappingproxy({'a': 1}))
    """
    values = [getattr(value, field.name) for field in fields(value)]
    read_only = [isinstance(one, MappingProxyType) for one in values]
    plain = [dict(one) if is_one else one for one, is_one in zip(values, read_only, strict=True)]
    return _again, (type(value), plain, read_only)


def _again(kind: type[Any], plain: list[Any], read_only: list[bool]) -> Any:
    for mapping in (one for one, is_one in zip(plain, read_only, strict=True) if is_one):
        for x in mapping.values():
            if isinstance(x, np.ndarray):
                x.flags.writeable = False  # pickle does not keep this flag
    values = zip(plain, read_only, strict=True)
    return kind(*(MappingProxyType(one) if is_one else one for one, is_one in values))
