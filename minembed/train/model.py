"""A model in training: a checkpoint, its tokenizer, and its own copy of the weights, which changes."""

import os
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import MissingHeadError, UnsupportedModelError
from minembed.models.embedder import Embedder
from minembed.models.engine import Engine
from minembed.models.loading import finder, load_tokenizer, with_limit
from minembed.runtime.backend import prepare
from minembed.runtime.checks import check_seed
from minembed.runtime.threads import check_threads
from minembed.text.tokenizer import Tokenizer
from minembed.train.backward.trees import Weights
from minembed.train.masked_lm_loss import new_head
from minembed.transformer.heads import MaskedHead
from minembed.types import Array, Backend
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES, match, open_tensors, read_params
from minembed.weights.heads import head_tensors, read_masked
from minembed.weights.layout import tensors
from minembed.weights.modules import read_module_params
from minembed.weights.saving import save_checkpoint, stored_tensors


@dataclass(frozen=True, slots=True)
class Trainee:
    """A model to train.  The arrays of `weights` are changed in place, since a second copy would double the memory."""

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    weights: Weights

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str] = "all-MiniLM-L6-v2",
        *,
        max_seq_length: int | None = None,
        head: bool = False,
        make_head: bool = False,
        seed: int = 0,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> "Trainee":
        """Load a checkpoint for training, with its masked-LM head if `head` is set.

        If the checkpoint has no head, `make_head` makes an untrained one; without it, MissingHeadError is raised.
        Raises UnsupportedModelError for models that cannot be trained (static embeddings, int8 folders, and Gemma,
        whose weights are stored in another form than they are computed with), InputError for a seed beyond 64 bits, and
        the errors of Embedder.load.
        """
        seed = check_seed("seed", seed)
        find = finder(local_files_only)
        checkpoint = read_checkpoint(find(name, revision=revision).folder, find)
        check_trainable(checkpoint)
        checkpoint = with_limit(checkpoint, max_seq_length)
        tokenizer = load_tokenizer(checkpoint)
        encoder, modules = read_params(checkpoint), read_module_params(checkpoint.root, checkpoint.modules)
        masked = _head(checkpoint, encoder.embeddings.word, make_head, seed) if head else None
        return cls(checkpoint, tokenizer, own_copy(Weights(encoder, modules, masked)))

    def embedder(self, backend: Backend = "auto", threads: int | None = None) -> Embedder:
        """An Embedder with a copy of the current weights; it does not change when they do, and keeps its params."""
        threads = check_threads(threads)
        weights, config = own_copy(self.weights), self.checkpoint.config
        name, compute = prepare(backend, weights.encoder, config, "float32", keep_params=True)
        engine = Engine(self.checkpoint, self.tokenizer, compute, threads, weights.modules)
        return Embedder(engine, name, "float32", "training", None)

    def save(self, folder: str | os.PathLike[str], notes: str = "") -> None:
        """Write the current weights to a new folder that sentence-transformers and minembed load.

        `notes`, in Markdown, go into its model card.  Raises the errors of `minembed.weights.saving.save_checkpoint`.
        """
        save_checkpoint(self.checkpoint, self.tensors(), Path(folder), self.weights.modules, notes)

    def tensors(self) -> Mapping[str, Array]:
        """The transformer's tensors by their names in the checkpoint; untrained ones are read from its files."""
        family = FAMILIES[self.checkpoint.family]
        names = match(self.checkpoint, open_tensors(self.checkpoint), family)
        trained = tensors(self.weights.encoder, self.checkpoint.config, family.names)
        own: dict[str, Array] = {names[plain]: array for plain, array in trained.items()}
        stored, head, word = stored_tensors(self.checkpoint), self.weights.head, self.weights.encoder.embeddings.word
        if head is not None:
            own |= head_tensors(head, self.checkpoint.family, word, stored)
        return ChainMap(own, dict(stored))


def check_trainable(checkpoint: Checkpoint) -> None:
    """Raise UnsupportedModelError for a checkpoint that cannot be trained here.

    >>> from minembed.transformer.config import Config
    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> check_trainable(Checkpoint(Path("model"), "bert", config, ("mean",), 256))
    """
    reason = ""
    if checkpoint.is_static:
        reason = "static embeddings have no encoder to train"
    elif checkpoint.stored_dtype != "float32":
        reason = f"its weights are stored in {checkpoint.stored_dtype}: load the checkpoint that it was made from"
    elif FAMILIES[checkpoint.family].fold is not None:
        reason = f"weights of {checkpoint.family!r} are computed in another form than they are stored in"
    if reason:
        raise UnsupportedModelError(f"{checkpoint.folder} cannot be trained: {reason}")


def _head(checkpoint: Checkpoint, word: Array, make: bool, seed: int) -> MaskedHead:
    try:
        return _tied(read_masked(checkpoint), word)
    except MissingHeadError:
        if not make:
            raise
        return new_head(checkpoint, word, seed=seed)


def _tied(head: MaskedHead, word: Array) -> MaskedHead:
    """The head, sharing the array of the embeddings if its decoder has the same numbers."""
    return replace(head, decoder=word) if np.array_equal(head.decoder, word) else head


def own_copy(tree: Any, copies: dict[int, Array] | None = None) -> Any:
    """A copy of a tree, with writable arrays; an array that is used in two places stays shared.

    >>> shared = np.ones(1)
    >>> a, b = own_copy((shared, shared))
    >>> a is b, a is shared
    (True, False)
    """
    copies = {} if copies is None else copies
    if isinstance(tree, np.ndarray):
        return copies.setdefault(id(tree), np.array(tree, order="C"))
    if isinstance(tree, tuple):
        return tuple(own_copy(branch, copies) for branch in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(tree, **{f.name: own_copy(getattr(tree, f.name), copies) for f in fields(tree)})
    return tree
