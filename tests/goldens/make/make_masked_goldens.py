"""Write the goldens of masked language modelling: transformers' loss, and torch's gradients, in float64.

    python tests/goldens/make/make_masked_goldens.py tests/goldens/masked.npz

Checkpoints are those of the goldens of heads.  Runs after make_head_goldens.py.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import golden_heads as heads
import numpy as np
import torch
from masked_cases import NAMES, asked, is_kept, places
from transformers import AutoModelForMaskedLM

from minembed.weights.families import FAMILIES

LIBRARIES = ("torch", "transformers", "numpy")


def loss_and_gradients(name: str) -> tuple[float, dict[str, np.ndarray]]:
    """The loss, and gradients by the hub's names."""
    golden, config = heads.read(name), heads.config_of(heads.CASES[name], "masked", native=True)
    tensors = heads.tensors_of(golden, "masked")
    theirs = {key: key.replace("bert.", "nomic_bert.", 1) if name == "nomic_bert" else key for key in tensors}
    with tempfile.TemporaryDirectory() as folder:
        heads.write_folder(Path(folder), config, {theirs[key]: tensor for key, tensor in tensors.items()})
        model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    same = {tensor.tobytes(): key for key, tensor in tensors.items() if np.unique(tensor).size > 1}
    named = {id(p): same.get(p.detach().numpy().tobytes()) for p in model.parameters()}
    model = model.double()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None  # else torch drops the gradient of that row; no text of ours has padding
    (positions, labels), logits = asked(golden), []
    for a, b in pairwise(golden["cu_seqlens"].tolist()):
        ids, types = (golden[key][None, a:b].astype(np.int64) for key in ("ids", "types"))
        inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.ones(1, b - a, dtype=torch.int64)}
        if config.get("type_vocab_size"):
            inputs["token_type_ids"] = torch.tensor(types)
        logits.append(model(**inputs).logits[0])
    loss = torch.nn.functional.cross_entropy(torch.cat(logits)[positions], torch.tensor(labels))
    loss.backward()
    found = {named[id(p)]: p.grad.numpy() for p in model.parameters() if named[id(p)] and p.grad is not None}
    return loss.item(), found


def main() -> None:
    """Write the losses and some entries of the gradients."""
    torch.set_num_threads(1)
    arrays: dict[str, object] = {}
    for name in NAMES:
        family = FAMILIES[heads.config_of(heads.CASES[name], "masked")["model_type"]]
        value, found = loss_and_gradients(name)
        arrays[f"{name}/loss"] = value
        kept = [key for key in found if is_kept(family.plain_name(key))]
        for key in kept:
            arrays[f"{name}/{key}"] = found[key].reshape(-1)[places(key, found[key].size)]
        print(f"{name}: loss {value:.4f}; {', '.join(kept)}")
    about = {"versions": {p: version(p) for p in LIBRARIES}, "python": sys.version.split()[0]}
    np.savez_compressed(sys.argv[1], about=np.array(json.dumps(about)), **arrays)
    print(f"{sys.argv[1]}: {Path(sys.argv[1]).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
