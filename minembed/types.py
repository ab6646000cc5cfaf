"""The types that rooms share."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
