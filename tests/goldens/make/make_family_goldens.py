"""Write the goldens of the checkpoint families: small random checkpoints, and what transformers computes from them.

    python tests/goldens/make/make_family_goldens.py tests/goldens/families [FAMILY ...]

Weights are rounded to float16 and the reference computes from exactly those; a second run on the same machine
writes the same bytes.
"""

import contextlib
import json
import sys
import tempfile
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import family_others
import family_rotary
import family_table
import numpy as np
import oracle
import torch
from family_table import Golden
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel

GOLDENS = family_table.GOLDENS | family_rotary.GOLDENS | family_others.GOLDENS
LARGEST = 300_000  # bytes of a file
SINGLE, DOUBLE, TO_SINGLE = torch.float32, torch.float64, torch.Tensor.float
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
TABLES = ("embeddings.weight", "embed_tokens.weight", "relative_attention_bias.weight")


def draw(name: str, shape: tuple[int, ...], rng: np.random.Generator, golden: Golden) -> np.ndarray:
    """Draw a tensor with the spread of a trained one, so that no term is too small to be missed."""
    scale, middle = golden.spread / shape[-1] ** 0.5, 0.0
    if name.endswith(TABLES):
        scale = 0.6
    elif "norm" in name.lower() or name.startswith("emb_ln"):
        scale, middle = 0.2, golden.norm_middle * name.endswith("weight")
    elif name.endswith("bias"):
        scale = 0.3
    return (middle + scale * rng.standard_normal(shape)).astype(np.float16)


@contextlib.contextmanager
def said_as(dtype: torch.dtype) -> Iterator[None]:
    """Let the reference compute in this dtype where it asks for float32 by name: in angles, softmax and norms."""
    before = torch.float, torch.float32, torch.Tensor.float, torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    torch.float = torch.float32 = dtype
    torch.Tensor.float = torch.Tensor.double if dtype == DOUBLE else TO_SINGLE
    try:
        yield
    finally:
        torch.float, torch.float32, torch.Tensor.float = before[:3]
        torch.set_default_dtype(before[3])


def keep_angles(model: torch.nn.Module, single: torch.nn.Module) -> None:
    """Let a float64 model turn by the angles of the float32 one: checkpoints were made with angles rounded so."""
    rotary = getattr(single, "rotary_emb", None)

    def forward(x: torch.Tensor, *args: object, **kwargs: object) -> tuple[torch.Tensor, ...]:
        with said_as(SINGLE):
            return tuple(part.double() for part in rotary(x.to(SINGLE), *args, **kwargs))

    if rotary is not None:
        model.rotary_emb.forward = forward


def reference(config: dict, tensors: dict[str, np.ndarray] | None, dtype: torch.dtype) -> torch.nn.Module:
    """Make a model of transformers, with the tensors under its own names."""
    kind = {key: value for key, value in config.items() if key not in ("architectures", "transformers_version")}
    config = AutoConfig.for_model(**kind)
    model = AutoModel.from_config(config, dtype=dtype, attn_implementation="eager").to(dtype).eval()
    if tensors is not None:
        model.load_state_dict({name: torch.from_numpy(tensor).to(dtype) for name, tensor in tensors.items()})
    return model


def states_of(model: torch.nn.Module, layers: str, ids: np.ndarray, types: np.ndarray | None) -> list[np.ndarray]:
    """Run one text: what goes into the first layer, what comes out of each, and what comes out of the model."""
    found: list[torch.Tensor] = []

    def before(module, args, kwargs):  # type: ignore[no-untyped-def]
        if not found:
            found.append(args[0] if args else kwargs["hidden_states"])

    def after(module, args, output):  # type: ignore[no-untyped-def]
        found.append(output[0] if isinstance(output, tuple) else output)

    hooks = []
    for layer in model.get_submodule(layers):
        hooks += [layer.register_forward_pre_hook(before, with_kwargs=True), layer.register_forward_hook(after)]
    inputs = {"input_ids": torch.tensor(ids[None]), "attention_mask": torch.ones(1, len(ids), dtype=torch.int64)}
    if types is not None:
        inputs["token_type_ids"] = torch.tensor(types[None])
    with torch.no_grad():
        found.append(model(**inputs).last_hidden_state)
    for hook in hooks:
        hook.remove()
    return [state[0].numpy().copy() for state in found]


def texts_of(golden: Golden, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw packed ids, types and cu_seqlens; the smallest and the largest ids occur, and that of padding."""
    cu_seqlens = np.cumsum([0, *golden.lengths])
    size = golden.hub["vocab_size"]
    ids = rng.integers(0, size, cu_seqlens[-1])
    for start, stop in pairwise(cu_seqlens[2:]):
        ids[start], ids[stop - 1] = 0, size - 1
        if golden.planted is not None:
            ids[[cu_seqlens[1], start + 1, (start + stop) // 2]] = golden.planted
    types = rng.integers(0, max(golden.hub.get("type_vocab_size", 0), 1), len(ids))
    return ids, types, cu_seqlens


def run(golden: Golden, tensors: dict, texts: tuple, dtype: torch.dtype) -> list[np.ndarray]:
    """Return every stage of all texts, (T, D) each, in the order embeddings, layers, end."""
    ids, types, cu_seqlens = texts
    config = golden.native or golden.hub
    single = reference(config, tensors, SINGLE)
    with said_as(dtype):
        model = reference(config, tensors, dtype)
        if dtype == DOUBLE:
            keep_angles(model, single)
        segments = types if golden.hub.get("type_vocab_size") else None
        parts = [
            states_of(model, golden.layers, ids[a:b], None if segments is None else segments[a:b])
            for a, b in pairwise(cu_seqlens)
        ]
    return [np.concatenate(stage) for stage in zip(*parts, strict=True)]


def check_hub_files(golden: Golden, hub: dict[str, np.ndarray], texts: tuple, last: np.ndarray) -> None:
    """Let transformers read the hub's tensors from a folder as a user would, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(golden.native or golden.hub))
        float32 = {name: torch.from_numpy(tensor).float().contiguous() for name, tensor in hub.items()}
        save_file(float32, Path(folder, "model.safetensors"), metadata={"format": "pt"})
        model = AutoModel.from_pretrained(folder, dtype=SINGLE, attn_implementation="eager").eval()
    ids, types, cu_seqlens = texts
    segments = types if golden.hub.get("type_vocab_size") else None
    for a, b in pairwise(cu_seqlens):
        state = states_of(model, golden.layers, ids[a:b], None if segments is None else segments[a:b])[-1]
        np.testing.assert_allclose(state, last[a:b], rtol=0, atol=1e-5)  # other addresses, other roundings


def new_spelling(config: dict) -> str:
    """Return config.json as the installed transformers writes it."""
    with tempfile.TemporaryDirectory() as folder:
        reference(config, None, SINGLE).save_pretrained(folder)
        return Path(folder, "config.json").read_text()


def by_oracle(golden: Golden, tensors: dict, texts: tuple) -> list[np.ndarray]:
    """Return the stages that tests/support/oracle.py computes, where transformers has no code."""
    ids, types, cu_seqlens = texts
    compute = getattr(oracle, golden.oracle)
    heads = golden.hub["num_attention_heads"]
    parts = [
        compute(tensors, ids[a:b], types[a:b], heads, golden.hub["layer_norm_eps"]) for a, b in pairwise(cu_seqlens)
    ]
    return [np.concatenate(stage) for stage in zip(*parts, strict=True)]


def make(family: str, golden: Golden, out: Path) -> None:
    """Write the file of one family."""
    rng = np.random.default_rng(zlib.crc32(family.encode()))
    config = golden.native or golden.hub
    shapes = golden.oracle_shapes or shapes_of(reference(config, None, SINGLE))
    tensors = {name: draw(name, shape, rng, golden) for name, shape in shapes.items()}
    texts, hub = texts_of(golden, rng), golden.to_hub(tensors)
    arrays: dict[str, object] = {f"tensors/{name}": tensor for name, tensor in hub.items()}
    arrays |= {f"tensors/{name}": draw(name, shape, rng, golden) for name, shape in golden.spare.items()}
    arrays["config/hub"] = np.array(json.dumps(golden.hub))
    if golden.oracle:
        save(out / f"{family}.npz", golden, texts, by_oracle(golden, tensors, texts), [], arrays)
        return
    exact, single = (run(golden, tensors, texts, dtype) for dtype in (DOUBLE, SINGLE))
    check_hub_files(golden, hub, texts, single[-1])
    arrays["config/new"] = np.array(new_spelling(config))
    save(out / f"{family}.npz", golden, texts, exact, single, arrays)


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """List the tensors that a model of transformers stores."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def save(path: Path, golden: Golden, texts: tuple, exact: list, single: list, arrays: dict) -> None:
    """Write what the tests compare with: float64 states of some rows, and vectors of every text."""
    ids, types, cu_seqlens = texts
    last = golden.lengths[-1]
    rows = [*range(cu_seqlens[-2]), *(cu_seqlens[-2] + np.array(golden.kept or range(last)))]
    if np.array_equal(exact[-1], exact[-2]):  # no norm at the end
        exact = exact[:-1]
    n_layers = golden.hub.get("num_hidden_layers", golden.hub.get("n_layers", golden.hub.get("n_layer")))
    stages = ["embeddings", *(f"layer.{i}" for i in range(n_layers)), "final"][: len(exact)]
    distances = [np.abs(a - b).max() for a, b in zip(exact, single, strict=False)]  # none of an oracle
    pooled = oracle.l2_normalize(oracle.pool(exact[-1], cu_seqlens, golden.pooling))
    about = {"versions": {p: version(p) for p in LIBRARIES}, "python": sys.version.split()[0]}
    about |= {"reference": golden.oracle or "transformers", "pooling": golden.pooling}
    np.savez_compressed(
        path,
        about=np.array(json.dumps(about)),
        ids=ids.astype(np.uint16),
        types=types.astype(np.uint8),
        cu_seqlens=cu_seqlens,
        rows=np.array(rows),
        stages=np.array(stages),
        hidden=np.stack([stage[rows] for stage in exact]),
        largest=np.array([np.abs(stage).max() for stage in exact]),
        torch_distance=np.array(distances),
        pooled=pooled,
        **arrays,
    )
    size = path.stat().st_size
    assert size < LARGEST, size
    relative = [f"{d / np.abs(stage).max():.1e}" for d, stage in zip(distances, exact, strict=False)]
    print(f"{path.name}: {size:,} bytes; torch's float32 by stage, from float64: {', '.join(relative)}")


def main() -> None:
    """Write the files asked for, or all."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for family in sys.argv[2:] or GOLDENS:
        make(family, GOLDENS[family], out)


if __name__ == "__main__":
    main()
