"""Write the goldens of edited models: 1,020 random edits of the family goldens' checkpoints, made by torch's hooks.

    python tests/goldens/make/make_edit_goldens.py tests/goldens/edits.npz

Of each edited text the mean of the last hidden states is kept.  Runs after make_family_goldens.py.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import edit_cases
import golden_families as goldens
import numpy as np
import torch
from edit_cases import HEADS, SQUARES, Case, Sizes
from make_family_goldens import GOLDENS, SINGLE
from safetensors.torch import save_file
from tiny import tiny_tokenizer
from transformers import AutoModel

LARGEST = 300_000  # bytes of the file
Function = Callable[[np.ndarray], np.ndarray | None]
BERT = {  # where a part of a layer is: the module below the layer, and whether it enters or leaves it
    "query": ("attention.self.query", "out"),
    "key": ("attention.self.key", "out"),
    "value": ("attention.self.value", "out"),
    "context": ("attention.output.dense", "in"),
    "attention": ("attention.output.dense", "out"),
    "attention.sum": ("attention.output.LayerNorm", "in"),
    "attention_norm": ("attention.output.LayerNorm", "out"),
    "intermediate": ("intermediate.dense", "out"),
    "activated": ("output.dense", "in"),
    "feed_forward": ("output.dense", "out"),
    "feed_forward.sum": ("output.LayerNorm", "in"),
    "": ("", "out"),
    "embeddings.word": ("embeddings.word_embeddings", "out"),
    "embeddings": ("embeddings", "out"),
}
MPNET = BERT | {
    "query": ("attention.attn.q", "out"),
    "key": ("attention.attn.k", "out"),
    "value": ("attention.attn.v", "out"),
    "context": ("attention.attn.o", "in"),
    "attention": ("attention.attn.o", "out"),
    "attention.sum": ("attention.LayerNorm", "in"),
    "attention_norm": ("attention.LayerNorm", "out"),
}
DISTILBERT = {
    "query": ("attention.q_lin", "out"),
    "key": ("attention.k_lin", "out"),
    "value": ("attention.v_lin", "out"),
    "context": ("attention.out_lin", "in"),
    "attention": ("attention.out_lin", "out"),
    "attention.sum": ("sa_layer_norm", "in"),
    "attention_norm": ("sa_layer_norm", "out"),
    "intermediate": ("ffn.lin1", "out"),
    "activated": ("ffn.lin2", "in"),
    "feed_forward": ("ffn.lin2", "out"),
    "feed_forward.sum": ("output_layer_norm", "in"),
    "": ("", "out"),
    "embeddings.word": ("embeddings.word_embeddings", "out"),
    "embeddings": ("embeddings", "out"),
}
MODERNBERT = {
    "qkv": ("attn.Wqkv", "out"),
    "context": ("attn.Wo", "in"),
    "attention": ("attn.Wo", "out"),
    "attention_norm": ("attn_norm", "out"),
    "output_norm": ("mlp_norm", "out"),
    "intermediate": ("mlp.Wi", "out"),
    "activated": ("mlp.Wo", "in"),
    "feed_forward": ("mlp.Wo", "out"),
    "": ("", "out"),
    "embeddings.word": ("embeddings.tok_embeddings", "out"),
    "embeddings": ("embeddings", "out"),
    "final_norm": ("final_norm", "out"),
}
QWEN3 = {
    "value": ("self_attn.v_proj", "out"),
    "context": ("self_attn.o_proj", "in"),
    "attention": ("self_attn.o_proj", "out"),
    "attention_norm": ("input_layernorm", "out"),
    "output_norm": ("post_attention_layernorm", "out"),
    "activated": ("mlp.down_proj", "in"),
    "feed_forward": ("mlp.down_proj", "out"),
    "": ("", "out"),
    "embeddings.word": ("embed_tokens", "out"),
    "final_norm": ("norm", "out"),
}
PLACES = {"bert": BERT, "roberta": BERT, "mpnet": MPNET, "distilbert": DISTILBERT}
PLACES |= {"modernbert": MODERNBERT, "qwen3": QWEN3}


def load(family: str) -> torch.nn.Module:
    """Read a golden's checkpoint as a user of transformers would."""
    golden = GOLDENS[family]
    with TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(golden.native or golden.hub))
        tensors = goldens.tensors_of(goldens.read(family))
        save_file(
            {name: torch.from_numpy(tensor).contiguous() for name, tensor in tensors.items()},
            Path(folder, "model.safetensors"),
            metadata={"format": "pt"},
        )
        return AutoModel.from_pretrained(folder, dtype=SINGLE, attn_implementation="eager").eval()


@contextlib.contextmanager
def hooked(model: torch.nn.Module, family: str, case: Case, function: Function) -> Iterator[None]:
    """Let a function see, and perhaps replace, what stands for a step: (N, W), or (1, H, N, N) of attention."""
    if case.part in SQUARES:
        with around_softmax(case, function):
            yield
        return
    path, end = PLACES[family][case.part]
    if case.layer is not None:
        path = f"{GOLDENS[family].layers}.{case.layer}.{path}".removesuffix(".")
    module = model.get_submodule(path)

    def edited(x: torch.Tensor) -> torch.Tensor | None:
        new = function(x[0].numpy().copy())
        return None if new is None else torch.from_numpy(new.astype(np.float32))[None]

    def enters(module, args):  # type: ignore[no-untyped-def]
        new = edited(args[0])
        return None if new is None else (new, *args[1:])

    def leaves(module, args, output):  # type: ignore[no-untyped-def]
        new = edited(output[0] if isinstance(output, tuple) else output)
        if new is None:
            return None
        return (new, *output[1:]) if isinstance(output, tuple) else new

    hook = module.register_forward_pre_hook(enters) if end == "in" else module.register_forward_hook(leaves)
    try:
        yield
    finally:
        hook.remove()


@contextlib.contextmanager
def around_softmax(case: Case, function: Function) -> Iterator[None]:
    """Scores and probabilities have no module: the softmax of the layer, which is its only one, is watched instead."""
    original, calls = torch.nn.functional.softmax, [0]

    def softmax(x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        own = calls[0] == case.layer
        calls[0] += 1
        if own and case.part == "scores":
            new = function(x[0].numpy().copy())
            x = x if new is None else torch.from_numpy(new.astype(np.float32))[None]
        y = original(x, *args, **kwargs)
        if own and case.part == "probabilities":
            new = function(y[0].numpy().copy())
            y = y if new is None else torch.from_numpy(new.astype(np.float32))[None]
        return y

    torch.nn.functional.softmax = softmax
    try:
        yield
    finally:
        torch.nn.functional.softmax = original


def by_heads(x: np.ndarray, case: Case, sizes: Sizes) -> np.ndarray:
    """Rows (N, W) as heads (H, N, K), where the step is told by heads."""
    return x.reshape(len(x), -1, sizes.head_width).transpose(1, 0, 2) if case.part in HEADS else x


def changed(x: np.ndarray, other: np.ndarray | None, case: Case, sizes: Sizes) -> np.ndarray:
    """Make the edit: on (N, W), (H, N, K) or (H, N, N)."""
    by_head = x.ndim == 3
    mask = np.ones(x.shape, bool)  # which numbers are meant
    where = case.where
    token_axis = 1 if by_head else 0
    if "token" in where:
        rows = np.zeros(x.shape[token_axis], bool)
        rows[where["token"]] = True
        mask &= rows[None, :, None] if by_head else rows[:, None]
    if "head" in where:
        if by_head:
            mask &= (np.arange(len(x)) == where["head"])[:, None, None]
        else:
            mask &= np.arange(x.shape[1]) // sizes.head_width == where["head"]
    for axis in ("key", "neuron"):
        if axis in where:
            mask &= np.arange(x.shape[-1]) == where[axis]
    if case.kind == "zero":
        new = np.zeros_like(x)
    elif case.kind == "scale":
        new = x * np.float32(case.value)
    elif case.kind == "replace":
        unit = sizes.head_width**0.5 if case.part == "query" else 1.0  # torch's query is not divided yet
        new = np.broadcast_to(np.asarray(case.value) * unit, x.shape)
    else:
        assert other is not None
        if case.from_token is not None:
            other = np.take(other, [case.from_token], axis=token_axis)
        new = np.broadcast_to(other, x.shape)
    return np.where(mask, new, x).astype(np.float32)


def run(model: torch.nn.Module, ids: list[int]) -> np.ndarray:
    """The last hidden states of a text."""
    inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.int64)}
    with torch.no_grad():
        return model(**inputs).last_hidden_state[0].numpy().astype(np.float64)


def compute(model: torch.nn.Module, family: str, case: Case, sizes: Sizes, ids: list[list[int]]) -> np.ndarray:
    """The mean of the last hidden states of an edited text."""
    seen: list[np.ndarray] = []
    if case.kind == "patch":
        with hooked(model, family, replace(case, text=case.other), lambda x: seen.append(x)):
            run(model, ids[case.other])

    def function(x: np.ndarray) -> np.ndarray:
        other = by_heads(seen[0], case, sizes) if seen else None
        new = changed(by_heads(x, case, sizes), other, case, sizes)
        return new.transpose(1, 0, 2).reshape(x.shape) if case.part in HEADS else new

    with hooked(model, family, case, function):
        return run(model, ids[case.text]).mean(axis=0)


def main() -> None:
    """Write the file."""
    path = Path(sys.argv[1])
    torch.set_num_threads(1)
    tokenizer = tiny_tokenizer()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = [tokenizer.encode(text).ids for text in edit_cases.TEXTS]
    arrays = {}
    for family in edit_cases.FAMILIES:
        model, sizes = load(family), Sizes.of(GOLDENS[family].hub)
        plain = np.stack([run(model, text).mean(axis=0) for text in ids])
        drawn = edit_cases.cases(family, sizes, [len(text) for text in ids])
        found = np.stack([compute(model, family, case, sizes, ids) for case in drawn])
        moved = np.abs(found - plain[[case.text for case in drawn]]).max(axis=1)
        print(f"{family}: {len(drawn)} edits; {(moved > 1e-4).mean():.0%} move the mean, by {np.median(moved):.2f}")
        arrays[family] = found.astype(np.float32)
    np.savez_compressed(path, **arrays)
    assert path.stat().st_size < LARGEST, path.stat().st_size


if __name__ == "__main__":
    main()
