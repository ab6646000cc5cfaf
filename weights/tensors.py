"""Tensors from safetensors files: one file or shards, read one by one, as float32.

The `safetensors` package checks the files.  Before that, we check the header for faults that the package accepts
against its own specification (duplicate names), and for other files that are often found instead of weights.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from minembed.errors import WeightsError
from minembed.runtime.json_files import no_duplicates, read_json
from minembed.runtime.paths import can_be_named, check_regular, is_too_long
from minembed.types import Array
from minembed.weights.folders import missing

Change = Callable[[Array], None]  # of a tensor, in place

FLOATS = ("F32", "F16", "BF16", "F64")
ON_DISK = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # as NumPy reads them
ON_DISK |= {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U32": "<u4", "U16": "<u2", "U8": "u1"}
LARGEST_HEADER = 16 << 20  # bytes; real headers have a few thousand entries of about 100 bytes
IMPOSTORS = {
    b"version https://git-lfs": "a Git LFS pointer, not the weights: run `git lfs pull` there, or download the file",
    b"<": "a web page, not weights: the download went wrong; fetch the file again",
    b"PK\x03\x04": "a zip archive or PyTorch file, not safetensors",
    b"\x80": "a pickle, not safetensors: minembed never unpickles",
}
CONVERT = (
    "convert it once where torch is installed: "
    'python -c "import torch, safetensors.torch as s; '
    "s.save_file({k: v.contiguous() for k, v in torch.load('pytorch_model.bin', weights_only=True).items()}, "
    "'model.safetensors')\""
)


@dataclass(frozen=True, slots=True)
class Stored:
    """The location of a tensor in a file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int  # of its first byte in the file
    name: str = ""  # in the file, if it has another name there


def _parse_header(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=no_duplicates)
    except (ValueError, RecursionError) as e:
        raise WeightsError(f"{path} has a malformed header ({e}); fetch it again") from e
    if not isinstance(header, dict):
        raise WeightsError(f"{path} has a header that is not a JSON object; fetch it again")
    return header


def _explain(path: Path, beginning: bytes, length: int, size: int) -> str:
    """Say what a file without a valid header length is."""
    for magic, what in IMPOSTORS.items():
        if beginning.startswith(magic):
            return f"{path} is {what}"
    if length + 8 <= size:
        return f"{path} has a header of {length} bytes; at most {LARGEST_HEADER} are read"
    return f"{path} is cut short at {size} bytes, or is not a safetensors file; fetch it again"


def read_header(path: Path) -> dict[str, Stored]:
    """Read the locations of the tensors in a safetensors file; raises WeightsError for another or a damaged file.

    >>> read_header(Path("none.safetensors"))
    Traceback (most recent call last):
    minembed.errors.WeightsError: none.safetensors cannot be read (No such file or directory)
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            beginning = file.read(64)
            length = int.from_bytes(beginning[:8], "little")
            if len(beginning) < 8 or length > min(LARGEST_HEADER, size - 8):
                raise WeightsError(_explain(path, beginning, length, size))
            file.seek(8)
            header = _parse_header(path, file.read(length))
        with safe_open(path, framework="np"):  # checks dtypes, shapes and offsets against the file's size
            pass
    except SafetensorError as e:
        raise WeightsError(f"{path} is not a sound safetensors file ({e}); fetch it again") from e
    except OSError as e:
        raise WeightsError(f"{path} cannot be read ({e.strerror or e})") from e
    header.pop("__metadata__", None)
    return {
        name: Stored(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }


def _read_shards(folder: Path, index: Path) -> dict[str, Stored]:
    weight_map = read_json(index, WeightsError).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise WeightsError(f"{index}: weight_map must map tensor names to file names")
    stored: dict[str, Stored] = {}
    for shard in sorted(set(weight_map.values())):
        if PurePosixPath(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise WeightsError(f"{index}: shard name {shard!r} is not a plain .safetensors file name")
        if not can_be_named(folder / shard) or is_too_long(folder / shard):
            raise WeightsError(f"{index}: {shard!r} cannot name a file")
        if not (folder / shard).exists():
            raise WeightsError(f"{folder / shard} is missing, though {index.name} names it: download it too")
        header = read_header(folder / shard)
        stored.update((name, entry) for name, entry in header.items() if weight_map.get(name) == shard)
    if missing := sorted(set(weight_map) - set(stored)):
        raise WeightsError(f"{index}: tensors not in the shards that it names: {', '.join(missing)}")
    return stored


def _read(stored: Stored, name: str, out: Array | None = None) -> Array:
    """Read into `out` if its type is the stored one, or into new memory.

    Either is twice as fast as a mapped file, whose pages have to be mapped and copied.  bfloat16 is the upper half of
    float32; NumPy has no such type, so it is widened here.
    """
    kind = np.dtype(ON_DISK[stored.dtype])
    if out is not None and out.shape == stored.shape and out.dtype == kind and out.flags.c_contiguous:
        array = out.reshape(-1)
    else:
        array = np.empty(int(np.prod(stored.shape, dtype=np.int64)), kind)
    with stored.file.open("rb") as file:
        file.seek(stored.offset)  # not np.fromfile, which turns an interrupt into a TypeError
        whole = not array.size or file.readinto(array.data.cast("B")) == array.nbytes
    if not whole:
        raise WeightsError(f"{stored.file} ended early: it changed while being read")
    if stored.dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    try:
        return array.reshape(stored.shape)
    except ValueError as e:
        raise WeightsError(f"{stored.file}: no array has the shape {stored.shape}, of tensor {name!r}") from e


@dataclass(frozen=True, slots=True)
class TensorFiles:
    """All tensors of a checkpoint folder, by name; nothing is read yet.

    `changes` are applied to a tensor, as float32, when it is read.

    >>> TensorFiles({"a": Stored(Path("x"), "F32", (2,), 0)}).stored["a"].shape
    (2,)
    """

    stored: Mapping[str, Stored]
    changes: Mapping[str, Sequence[Change]] = field(default_factory=dict)

    @staticmethod
    def open(folder: Path) -> "TensorFiles":
        """Read the headers of model.safetensors, or of the shards that model.safetensors.index.json names.

        Raises WeightsError for files that are missing, damaged, or something else.
        """
        single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
        if single.exists():
            return TensorFiles(read_header(single))
        if not index.exists():
            if (folder / "pytorch_model.bin").exists():
                raise WeightsError(
                    f"{folder} has only pytorch_model.bin, a pickle, which minembed never opens; {CONVERT}"
                )
            raise WeightsError(missing(folder, "model.safetensors"))
        return TensorFiles(_read_shards(folder, index))

    def read(self, name: str, out: Array | None = None) -> Array:
        """Read one tensor as float32: exactly, or rounded to the nearest if it is stored in float64.

        It is put in `out`, if given: a C-contiguous array of its shape.  Raises WeightsError if its dtype is not F32,
        F16, BF16 or F64, if it contains NaN or infinity, or if one of its numbers is beyond float32.
        """
        array = self.take(name, FLOATS, out)
        with np.errstate(over="ignore"):
            single = array.astype(np.float32, copy=False)
        if single is not array and array.itemsize == 8 and not np.isfinite(single).all():
            raise WeightsError(f"{self.stored[name].file}: tensor {name!r} holds numbers beyond float32")
        single = self._changed(name, single) if name in self.changes else single
        if out is None or np.may_share_memory(single, out):
            return single
        out[...] = single
        return out

    def _changed(self, name: str, array: Array) -> Array:
        array = np.require(array, requirements=["W", "C"])
        with np.errstate(over="ignore", invalid="ignore"):  # the result is checked instead
            for change in self.changes[name]:
                change(array)
        if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
            raise WeightsError(f"{self.stored[name].file}: tensor {name!r} overflows float32 with its adapter merged")
        return array

    def take(self, name: str, dtypes: Sequence[str], out: Array | None = None) -> Array:
        """Read one tensor as it is stored (BF16 as float32), into `out` if that has its shape and type.

        Raises WeightsError if its dtype is none of these, or if it contains NaN or infinity.
        """
        stored = self.stored[name]
        if stored.dtype not in dtypes:
            known = f"{', '.join(dtypes[:-1])} and {dtypes[-1]}"
            raise WeightsError(f"{stored.file}: tensor {name!r} is {stored.dtype}; {known} are read")
        try:
            array = _read(stored, name, out)
        except OSError as e:
            raise WeightsError(f"{stored.file}: tensor {name!r} cannot be read ({e.strerror or e})") from e
        if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):  # NaN spreads to both
            bad = np.argwhere(~np.isfinite(array))
            raise WeightsError(
                f"{stored.file}: tensor {name!r} holds {len(bad)} NaN or infinite values, the first at index "
                f"{tuple(bad[0].tolist())}; the file is damaged or the training diverged"
            )
        return array
