"""Write the goldens of the backward pass: torch's gradients of the family goldens' checkpoints.

    python tests/goldens/make/make_gradient_goldens.py tests/goldens/gradients.npz

The loss is the sum of the last hidden states times fixed numbers; torch computes in float32.  Of every tensor some
entries of the gradient are kept, and its norm.  Runs after make_family_goldens.py.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import golden_families as goldens
import numpy as np
import torch
from make_family_goldens import GOLDENS
from safetensors.torch import save_file
from transformers import AutoModel

KEPT = 40  # entries of a tensor
LIBRARIES = ("torch", "transformers", "numpy")


def gradients_of(name: str) -> dict[str, np.ndarray]:
    """The gradients by the names of the checkpoint on the Hub, where transformers has the same tensor."""
    golden, stored = GOLDENS[name], goldens.read(name)
    tensors = goldens.tensors_of(stored)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(golden.native or golden.hub))
        named = {key: torch.from_numpy(t).contiguous() for key, t in tensors.items()}
        save_file(named, Path(folder, "model.safetensors"), metadata={"format": "pt"})
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None  # else torch drops the gradient of that row; no text of ours has padding
    ids, types, cu_seqlens = stored["ids"].astype(np.int64), stored["types"].astype(np.int64), stored["cu_seqlens"]
    slopes = goldens.slopes(stored)
    loss = torch.zeros(())
    for a, b in pairwise(cu_seqlens):
        inputs = {"input_ids": torch.tensor(ids[None, a:b]), "attention_mask": torch.ones(1, b - a, dtype=torch.int64)}
        if golden.hub.get("type_vocab_size"):
            inputs["token_type_ids"] = torch.tensor(types[None, a:b])
        loss = loss + (model(**inputs).last_hidden_state[0] * torch.from_numpy(slopes[a:b])).sum()
    loss.backward()
    same = {tensor.tobytes(): key for key, tensor in tensors.items() if tensor.dtype == np.float32}
    found = {}
    for parameter in model.parameters():
        key = same.get(parameter.detach().numpy().tobytes())
        if key is not None and parameter.grad is not None:
            found[key] = parameter.grad.numpy()
    return found


def main() -> None:
    """Write all that transformers can compute."""
    torch.set_num_threads(1)
    arrays: dict[str, object] = {}
    for name in goldens.NAMES:
        if GOLDENS[name].oracle:
            continue
        found = gradients_of(name)
        for key, gradient in found.items():
            arrays[f"{name}/{key}/norm"] = np.linalg.norm(gradient.astype(np.float64))
            places = goldens.places(key, gradient.size, KEPT)
            arrays[f"{name}/{key}/kept"] = gradient.reshape(-1)[places]
        print(f"{name}: {len(found)} of {len(goldens.tensors_of(goldens.read(name)))} tensors")
    about = {"versions": {p: version(p) for p in LIBRARIES}, "python": sys.version.split()[0]}
    np.savez_compressed(sys.argv[1], about=np.array(json.dumps(about)), **arrays)
    print(f"{sys.argv[1]}: {Path(sys.argv[1]).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
