"""Tensors if torch is installed, and otherwise arrays with the same few methods.

The reference returns torch's tensors from its similarity functions.  Here NumPy computes: `tensor` turns a result into
a torch.Tensor (the same memory) if torch can be imported, and otherwise into an `ArrayTensor`.  This is the only file
that imports torch, and it does so only when it returns a result.
"""

import sys
from importlib.util import find_spec
from typing import Any, NamedTuple, NoReturn

import numpy as np

from minembed.errors import InputError, InputTypeError, MissingExtraError
from minembed.types import Array

INSTEAD = "minembed works on NumPy arrays: omit the option, or pip install torch"
REDUCTIONS = ("argmax", "argmin", "mean", "sum", "any", "all", "prod", "cumsum", "cumprod")  # dim is NumPy's axis
OF_NUMPY = (np.nonzero, np.flatnonzero, np.argwhere)  # functions that call methods of a name that torch has, too
DIFFERENT = ("std", "var", "repeat")  # names with two meanings


class TopK(NamedTuple):
    """The result of a tensor's `topk`."""

    values: Array
    indices: Array


class ArrayTensor(np.ndarray[Any, Any]):
    """A NumPy array with the methods of a tensor that scripts call on scores; they mean what they mean in torch.

    NumPy's own functions, such as np.max(scores, axis=1), work as usual.  The methods `std`, `var` and `repeat` differ
    between NumPy and torch: here they raise an error that says so.

    >>> scores = tensor([[0.1, 0.9, 0.5]]) if not has_torch() else np.float32([[0.1, 0.9, 0.5]]).view(ArrayTensor)
    >>> scores.cpu().numpy().shape, scores[0].topk(2).indices.tolist(), scores[0][1].item() > 0.8
    ((1, 3), [1, 2], True)
    """

    def cpu(self) -> "ArrayTensor":
        """Return the array itself: it is in the CPU's memory."""
        return self

    def detach(self) -> "ArrayTensor":
        """Return the array itself: it has no gradient."""
        return self

    def clone(self) -> "ArrayTensor":
        """Copy the array."""
        return self.copy()

    def numpy(self) -> Array:
        """Return the same numbers as a plain array."""
        return self.view(np.ndarray)

    def float(self) -> "ArrayTensor":
        """Convert to float32."""
        return self.astype(np.float32, copy=False).view(ArrayTensor)

    def to(self, device: object) -> "ArrayTensor":
        """Return the array itself; raises InputError for another device, or for a dtype."""
        check_device(device)
        return self

    def dim(self) -> int:
        """Return the number of axes."""
        return self.ndim

    def transpose(self, *axes: Any) -> "ArrayTensor":
        """Swap two axes, as a tensor does; all axes, or a tuple of them, are handled as by an array."""
        by_two = len(axes) == 2 and not any(map(np.ndim, axes))
        return self.swapaxes(*axes) if by_two else super().transpose(*axes)

    def nonzero(self, *, as_tuple: bool = False) -> Any:  # -> (n, number of axes), int64
        """Return the indices of the numbers that are not zero: a row for each."""
        found = np.nonzero(self.view(np.ndarray))
        return found if as_tuple else np.stack(found, axis=1).view(ArrayTensor)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Let NumPy's functions call NumPy's methods."""
        if func in OF_NUMPY:
            args = tuple(np.asarray(each) if isinstance(each, ArrayTensor) else each for each in args)
        return super().__array_function__(func, types, args, kwargs)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> TopK:
        """Find the k largest (or smallest) numbers along an axis, in order, and their indices."""
        x = self.view(np.ndarray)
        if not 0 <= k <= x.shape[dim]:
            raise InputError(f"topk(k={k}): the axis has {x.shape[dim]} numbers")
        order = np.take(np.argsort(-x if largest else x, axis=dim, kind="stable"), range(k), axis=dim)
        return TopK(np.take_along_axis(x, order, dim).view(ArrayTensor), order.view(ArrayTensor))


def _ordering(name: str) -> Any:
    """A method that returns values and their indices, unless NumPy calls it, which passes `axis`."""

    def method(self: Any, dim: int | None = None, descending: bool = False, **options: Any) -> Any:
        if "axis" in options or (dim is None and name in ("max", "min")):
            return getattr(np.ndarray, name)(self, **options)
        x, axis, keepdim = self.view(np.ndarray), -1 if dim is None else dim, options.pop("keepdim", False)
        if options.keys() - {"stable"}:
            raise InputTypeError(
                f"{name} of a tensor takes no {', '.join(options)}: write np.{name}(scores.numpy(), ...)"
            )
        if name in ("max", "min"):
            at = np.expand_dims(getattr(x, f"arg{name}")(axis=axis), axis)
            values = np.take_along_axis(x, at, axis)
            return TopK(*((y if keepdim else y.squeeze(axis)).view(ArrayTensor) for y in (values, at)))
        order = np.argsort(-x if descending else x, axis=axis, kind="stable").view(ArrayTensor)
        return order if name == "argsort" else TopK(np.take_along_axis(x, order, axis).view(ArrayTensor), order)

    method.__name__, method.__doc__ = name, f"As `{name}` of a tensor."
    return method


def _reduction(name: str) -> Any:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        options = {{"dim": "axis", "keepdim": "keepdims"}.get(key, key): value for key, value in options.items()}
        return getattr(np.ndarray, name)(self, *args, **options)

    method.__name__, method.__doc__ = name, f"As `{name}` of a tensor, or of an array."
    return method


def _refusing(name: str) -> Any:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        if "axis" in options:  # NumPy's functions name the axis
            return getattr(np.ndarray, name)(self, *args, **options)
        raise InputTypeError(
            f"{name} means one thing to NumPy and another to torch, which is not installed: "
            f"write np.{name}(scores.numpy(), ...)"
        )

    method.__name__, method.__doc__ = name, "Raise InputTypeError: the name has two meanings."
    return method


for _kind, _names in ((_ordering, ("max", "min", "sort", "argsort")), (_reduction, REDUCTIONS), (_refusing, DIFFERENT)):
    for _name in _names:
        setattr(ArrayTensor, _name, _kind(_name))


class Device(str):
    """A stand-in for torch.device("cpu") if torch is not installed.

    >>> Device("cpu").type, str(Device("cpu"))
    ('cpu', 'cpu')
    """

    type = "cpu"


def has_torch() -> bool:
    """Whether torch can be imported.

    >>> isinstance(has_torch(), bool)
    True
    """
    return "torch" in sys.modules or find_spec("torch") is not None


def need_torch(what: str) -> None:
    """Raise MissingExtraError if torch is not installed.

    >>> need_torch("convert_to_tensor=True") if has_torch() else None
    """
    if not has_torch():
        raise MissingExtraError(f"{what} gives tensors of torch, which is not installed; {INSTEAD}")


def is_tensor(value: object) -> bool:
    """Whether a value is a torch.Tensor; does not import torch.

    >>> is_tensor(np.zeros(3))
    False
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def tensor(values: Any) -> Any:  # -> torch.Tensor or ArrayTensor
    """Turn numbers into a tensor: torch's if it is installed, and otherwise an ArrayTensor.

    >>> tensor([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """
    array = as_array(values)
    if not has_torch():
        return array.view(ArrayTensor)
    import torch

    return torch.from_numpy(np.require(array, requirements=["C", "W"]))  # torch takes no other order


def as_array(values: Any, name: str = "embeddings") -> Array:
    """Turn a tensor, an array, or a list of either, into an array; float64 stays float64, lists become float32.

    Raises InputError for tensors that are sparse, on another device, or need a gradient, and for lists of rows of
    different lengths.

    >>> as_array([[1.0, 2.0]]).dtype, as_array(np.float64([1])).dtype
    (dtype('float32'), dtype('float64'))
    """
    if is_tensor(values):
        return _from_tensor(values, name)
    if isinstance(values, list | tuple) and any(map(is_tensor, values)):
        values = [_from_tensor(value, name) if is_tensor(value) else value for value in values]
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} must be numbers, in rows of one length: {error}") from error
    own = isinstance(values, list | tuple) and not any(isinstance(value, np.ndarray | np.generic) for value in values)
    if array.dtype == np.float16 or (own and array.dtype == np.float64):
        return array.astype(np.float32)
    return array.view(np.ndarray)


def _from_tensor(value: Any, name: str) -> Array:
    if value.is_sparse:
        _refuse(name, "is sparse", "to_dense()")
    if value.device.type != "cpu":
        _refuse(name, f"is on {value.device}", "cpu()")
    if value.requires_grad:
        _refuse(name, "asks for a gradient, and none is computed here (minembed.train trains)", "detach()")
    if str(value.dtype) in ("torch.float16", "torch.bfloat16"):
        value = value.float()
    array: Array = value.numpy()
    return array


def _refuse(name: str, fault: str, remedy: str) -> NoReturn:
    raise InputError(f"{name} {fault}: give {name}.{remedy}")


def check_device(device: object) -> None:
    """Raise InputError for a device other than the CPU.

    >>> check_device("cuda:0")
    Traceback (most recent call last):
    minembed.errors.InputError: device 'cuda:0': minembed computes on the CPU; omit the option, or use 'cpu'
    """
    if device is not None and str(device).partition(":")[0] != "cpu":
        raise InputError(f"device {str(device)!r}: minembed computes on the CPU; omit the option, or use 'cpu'")


def cpu() -> Any:  # -> torch.device or Device
    """The device of every model.

    >>> cpu().type
    'cpu'
    """
    if not has_torch():
        return Device("cpu")
    import torch

    return torch.device("cpu")


def dtype_of(name: str) -> Any:  # -> torch.dtype, or the name itself
    """The torch.dtype of a compute type if torch is installed, and otherwise its name.

    >>> str(dtype_of("float32")).removeprefix("torch.")
    'float32'
    """
    if not has_torch():
        return name
    import torch

    return getattr(torch, name)
