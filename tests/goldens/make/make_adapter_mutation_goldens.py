"""Write what transformers makes of adapters that were changed at random: a vector, or an error.

    python tests/goldens/make/make_adapter_mutation_goldens.py tests/goldens/adapter_mutations.npz NUMBER

Needs the goldens of adapters, and nothing of minembed.
"""

import contextlib
import copy
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from adapter_mutations import mutated, mutation
from make_adapter_goldens import FAMILIES, write_base
from safetensors.numpy import save_file
from transformers import AutoModel

OUT, NUMBER = Path(sys.argv[1]), int(sys.argv[2])
ADAPTERS = FAMILIES.parent / "adapters"
warnings.simplefilter("ignore")
transformers.utils.logging.set_verbosity(100)
transformers.utils.logging.disable_progress_bar()


def by_reference(model: torch.nn.Module, folder: Path, inputs: dict) -> np.ndarray | None:
    """The mean of the hidden states of one text, of length 1; None where the adapter cannot be loaded."""
    model = copy.deepcopy(model)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model.load_adapter(str(folder))
        with torch.no_grad():
            mean = model.eval()(**inputs).last_hidden_state[0].double().mean(0).numpy()
    except Exception:  # of any kind: it is a library's answer to settings that make no sense
        return None
    return mean / np.linalg.norm(mean)


def main() -> None:
    """Write the file."""
    with np.load(FAMILIES / "bert.npz") as file:
        golden = dict(file)
    a, b = golden["cu_seqlens"][4:6]
    inputs = {"input_ids": torch.tensor(golden["ids"].astype(np.int64)[None, a:b])}
    inputs |= {"token_type_ids": torch.tensor(golden["types"].astype(np.int64)[None, a:b])}
    found = np.full((NUMBER, golden["hidden"].shape[-1]), np.nan)
    with tempfile.TemporaryDirectory() as place:
        model = AutoModel.from_pretrained(write_base(golden, Path(place, "base")), attn_implementation="eager")
        for seed in range(NUMBER):
            change = mutation(seed)
            with np.load(ADAPTERS / f"{change[0]}.npz") as file:
                own = dict(file)
            tensors = {key[8:]: own[key].astype(np.float32) for key in own if key.startswith("tensors/")}
            settings, tensors = mutated(json.loads(str(own["settings"])), tensors, change)
            Path(place, "adapter_config.json").write_text(json.dumps(settings), "utf-8")
            save_file(tensors, Path(place, "adapter_model.safetensors"), metadata={"format": "pt"})
            vector = by_reference(model, Path(place), inputs)
            if vector is not None:
                found[seed] = vector
    print(f"{NUMBER} adapters, {np.isfinite(found[:, 0]).sum()} of which the reference loads")
    np.savez_compressed(OUT, vectors=found.astype(np.float32))


if __name__ == "__main__":
    main()
