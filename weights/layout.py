"""The shapes of the parameter tree of an architecture, and the conversion between it and a checkpoint's tensors.

A family names, for every part of the tree, the tensors in which its checkpoints store it:

    "layers.{}.qkv": ("encoder.layer.{}.attention.self.query", "encoder.layer.{}.attention.self.key", ...)

A linear layer or norm is stored as NAME.weight and NAME.bias, linear weights as (out, in).  Several names are pieces of
one array, side by side; NAME[1] is the second piece of one stored tensor.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from types import UnionType
from typing import Any

import numpy as np

from minembed.runtime.threads import run
from minembed.transformer.config import Config
from minembed.transformer.params import Embeddings, Layer, Linear, Norm, Params
from minembed.types import Array

Names = Mapping[str, tuple[str, ...]]

Read = Callable[..., Array]  # of a tensor by its name, or of a name and an array: into that, which it returns


def layout(config: Config, names: Names) -> Params:
    """The parameter tree of an architecture; its arrays have a shape but take no memory.

    >>> config = Config(9, 4, 1, 2, 8, 16, 0, "gelu", 1e-5)
    >>> layout(config, {}).layers[0].qkv.weight.shape
    (4, 12)
    """
    D, E = config.hidden_size, config.embedding_size or config.hidden_size
    H, G, K = config.num_attention_heads, config.key_value_heads, config.head_size

    def linear(name: str, n_in: int, n_out: int) -> Linear:
        return Linear(_empty(n_in, n_out), None if name in config.without_bias else _empty(n_out))

    def norm(width: int) -> Norm:
        return Norm(_empty(width), None if "norm" in config.without_bias else _empty(width))

    def layer(i: int) -> Layer:
        F, own = config.intermediate_size, "layers.{}.query_norm" in names
        post_norms = "layers.{}.output_post_norm" in names
        first = i == 0 and config.pre_norm and "embeddings.norm" in names  # its input was just normalised
        return Layer(
            qkv=linear("qkv", D, (H + 2 * G) * K),
            attention_output=linear("attention_output", H * K, D),
            attention_norm=None if first else norm(D),
            intermediate=linear("intermediate", D, 2 * F if config.gated else F),
            output=linear("output", F, D),
            output_norm=norm(D),
            query_norm=norm(K) if own else None,
            key_norm=norm(K) if own else None,
            attention_post_norm=norm(D) if post_norms else None,
            output_post_norm=norm(D) if post_norms else None,
        )

    buckets, types = config.relative_attention_num_buckets, config.type_vocab_size
    embeddings = Embeddings(
        word=_empty(config.vocab_size, E),
        position=_empty(config.max_position_embeddings, E) if "embeddings.position" in names else None,
        token_type=_empty(types, E) if types and "embeddings.token_type" in names else None,
        norm=norm(E) if "embeddings.norm" in names else None,
        projection=linear("projection", E, D) if config.embedding_size else None,
    )
    return Params(
        embeddings,
        tuple(layer(i) for i in range(config.num_hidden_layers)),
        final_norm=norm(D) if "final_norm" in names else None,
        relative_attention_bias=_empty(buckets, H) if buckets else None,
    )


def _empty(*shape: int) -> Array:
    return np.broadcast_to(np.float32(0), shape)


def named(tree: Any, prefix: str = "", kinds: type | UnionType = np.ndarray) -> Iterator[tuple[str, Any]]:
    """Every array of a parameter tree, or every object of these `kinds`, by the path of field names to it.

    >>> [name for name, _ in named(Norm(np.ones(1), np.ones(1)), "norm.")]
    ['norm.weight', 'norm.bias']
    """
    if isinstance(tree, kinds):
        yield prefix.removesuffix("."), tree
    elif isinstance(tree, tuple):
        for i, branch in enumerate(tree):
            yield from named(branch, f"{prefix}{i}.", kinds)
    elif is_dataclass(tree):
        for field in fields(tree):
            yield from named(getattr(tree, field.name), f"{prefix}{field.name}.", kinds)


def map_named(f: Callable[[str, Array], Array], tree: Any, prefix: str = "") -> Any:
    """Build a tree of the same shape from f(name, array) of every array, in the order of `named`.

    >>> map_named(lambda name, array: array + len(name), Norm(np.ones(1)), "norm.").weight.tolist()
    [12.0]
    """
    if tree is None:
        return None
    if isinstance(tree, np.ndarray):
        return f(prefix.removesuffix("."), tree)
    if isinstance(tree, tuple):
        return tuple(map_named(f, branch, f"{prefix}{i}.") for i, branch in enumerate(tree))
    return type(tree)(*(map_named(f, getattr(tree, x.name), f"{prefix}{x.name}.") for x in fields(tree)))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stored tensor, and the columns of an array of the tree that it gives."""

    name: str
    columns: slice  # of the array
    stored: slice  # of the tensor's output side
    width: int  # of the tensor's output side
    turned: bool  # whether the tensor is (out, in)


def pieces(path: str, array: Array, names: Names, config: Config) -> list[Piece]:
    """The pieces of stored tensors that make up an array of the tree.

    >>> names = {"layers.{}.output": ("mlp.{}.down",)}
    >>> pieces("layers.3.output.weight", np.zeros((8, 4)), names, None)[0].name
    'mlp.3.down.weight'
    """
    number = re.search(r"\.(\d+)\.", path)
    key = re.sub(r"\.\d+\.", ".{}.", path)
    kind = ""
    if key not in names:
        key, _, kind = key.rpartition(".")
    stored, width = names[key], array.shape[-1]
    sizes = [width // len(stored)] * len(stored)
    if key == "layers.{}.qkv" and len(stored) == 3:
        own = config.key_value_heads * config.head_size
        sizes = [width - 2 * own, own, own]
    found, at = [], 0
    for name, size in zip(stored, sizes, strict=True):
        base, _, part = name.format(number[1] if number else "").partition("[")
        first, whole = (int(part[0]) * size, width) if part else (0, size)
        full = f"{base}.{kind}" if kind else base
        found.append(
            Piece(full, slice(at, at + size), slice(first, first + size), whole, kind == "weight" and array.ndim == 2)
        )
        at += size
    return found


def shapes(config: Config, names: Names) -> dict[str, tuple[int, ...]]:
    """Every stored tensor that an architecture needs, with its shape; linear weights are (out, in), as stored."""
    wanted = {}
    for path, array in named(layout(config, names)):
        for piece in pieces(path, array, names, config):
            shape = (*array.shape[:-1], piece.width)
            wanted[piece.name] = shape[::-1] if piece.turned else shape
    return wanted


def build(config: Config, names: Names, read: Read, as_stored: bool = False, threads: int = 1) -> Params:
    """Read the tensors, largest first, so that the peak memory is the size of the model.

    With `as_stored`, linear weights of layers stay (out, in) in memory: they are transposed views, not C-contiguous.
    These and the tables are then read by several threads.
    """
    shared: dict[str, Array] = {}  # layers with the same name share one array
    tree = layout(config, names)
    room = _room(tree, names, config) if as_stored else None
    later: list[Callable[[], object]] = []

    def array(path: str, empty: Array) -> Array:
        parts = pieces(path, empty, names, config)
        key = parts[0].name
        if key not in shared:
            if room and _in_a_layer(path, parts):
                own = next(room)
                later.append(partial(_fill, own, parts, read))
                shared[key] = own.T
            elif room and path == "embeddings.word" and not parts[0].turned:
                shared[key] = np.empty(empty.shape, np.float32)
                later.append(partial(read, key, shared[key]))
            else:
                shared[key] = _join(parts, empty.shape, read)
        return shared[key]

    params: Params = map_named(array, tree)
    for _ in run(lambda fill: fill(), later, threads):
        pass
    return params


def _fill(own: Array, parts: list[Piece], read: Read) -> None:
    """Read the pieces of a weight as (out, in)."""
    for piece in parts:
        if piece.stored == slice(0, piece.width):
            read(piece.name, own[piece.columns])
        else:
            own[piece.columns] = read(piece.name)[piece.stored]


def _join(parts: list[Piece], shape: tuple[int, ...], read: Read) -> Array:
    if len(parts) == 1 and not parts[0].turned:
        return read(parts[0].name)
    out = np.empty(shape, np.float32)
    for piece in parts:
        part = read(piece.name)
        out[..., piece.columns] = (part.T if piece.turned else part)[..., piece.stored]
    return out


def _in_a_layer(path: str, parts: list[Piece]) -> bool:
    return parts[0].turned and path.startswith("layers.")


def _room(tree: Params, names: Names, config: Config) -> Iterator[Array]:
    """Memory for each linear weight of a layer, (out, in), in the order in which they are read.

    It is one block: the system gives it in large pages, and the first writing to each small one would take longer than
    reading the file.
    """
    linears: dict[str, tuple[int, ...]] = {}
    for path, array in named(tree):
        parts = pieces(path, array, names, config)
        if _in_a_layer(path, parts):
            linears.setdefault(parts[0].name, array.shape[::-1])
    whole, at = np.empty(sum(n_out * n_in for n_out, n_in in linears.values()), np.float32), 0
    for n_out, n_in in linears.values():
        yield whole[at : at + n_out * n_in].reshape(n_out, n_in)
        at += n_out * n_in


def tensors(params: Params, config: Config, names: Names) -> dict[str, Array]:
    """The tensors that a checkpoint stores, by name: the inverse of `build`."""
    stored: dict[str, Array] = {}
    for path, array in named(params):
        for piece in pieces(path, array, names, config):
            shape = (*array.shape[:-1], piece.width)
            whole = stored.setdefault(piece.name, np.empty(shape[::-1] if piece.turned else shape, array.dtype))
            (whole.T if piece.turned else whole)[..., piece.stored] = array[..., piece.columns]
    return stored
