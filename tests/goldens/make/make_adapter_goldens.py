"""Write the goldens of adapters: LoRAs that peft saves, and what transformers computes with them on golden checkpoints.

    python tests/goldens/make/make_adapter_goldens.py tests/goldens/adapters [CASE ...]

The weights of adapters are rounded to float16.  Each is loaded twice, by transformers (as sentence-transformers does)
and by peft, and both must give the same.
"""

import json
import sys
import tempfile
import warnings
import zlib
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import oracle
import torch
import transformers
from adapter_cases import CASES, Case
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file
from safetensors.torch import save_file
from transformers import AutoModel

FAMILIES = Path(__file__).parents[1] / "families"
LIBRARIES = ("torch", "transformers", "peft")
SAME = 1e-5  # of vectors of length 1: two orders of sums in float32


def write_base(golden: dict, folder: Path) -> Path:
    """Write the checkpoint of a golden family as transformers reads it."""
    folder.mkdir()
    spelling = "config/new" if "config/new" in golden else "config/hub"
    (folder / "config.json").write_text(str(golden[spelling]), "utf-8")
    tensors = {key.removeprefix("tensors/"): array for key, array in golden.items() if key.startswith("tensors/")}
    tensors = {name: array for name, array in tensors.items() if not name.endswith("position_ids")}
    stored = {name: torch.from_numpy(array).float().contiguous() for name, array in tensors.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def train(case: Case, base: Path, folder: Path) -> None:
    """Make an adapter whose numbers are drawn, instead of trained, and save it."""
    model = getattr(transformers, case.trained_as).from_pretrained(base, attn_implementation="eager")
    model = get_peft_model(model, LoraConfig(**case.settings))
    generator = torch.Generator().manual_seed(zlib.crc32(str(case).encode()))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            spread = 0.15 if "lora_" in name else 0.1
            drawn = torch.randn(parameter.shape, generator=generator) * spread
            if "lora_" not in name:
                drawn += parameter.detach()
            parameter.data = drawn.half().float()
    model.save_pretrained(folder)


def vectors(model: torch.nn.Module, golden: dict, pooling: str) -> np.ndarray:
    """Compute the vectors of a golden's texts, of length 1."""
    ids, types, cu_seqlens = golden["ids"].astype(np.int64), golden["types"].astype(np.int64), golden["cu_seqlens"]
    has_types, states = getattr(model.config, "type_vocab_size", 0), []
    for a, b in pairwise(cu_seqlens):
        inputs = {"input_ids": torch.tensor(ids[None, a:b]), "attention_mask": torch.ones(1, b - a, dtype=torch.int64)}
        if has_types:
            inputs["token_type_ids"] = torch.tensor(types[None, a:b])
        with torch.no_grad():
            states.append(model.eval()(**inputs).last_hidden_state[0].numpy())
    return oracle.l2_normalize(oracle.pool(np.concatenate(states).astype(np.float64), cu_seqlens, pooling))


def make(name: str, case: Case, out: Path) -> None:
    """Write the file of one case."""
    with np.load(FAMILIES / f"{case.base}.npz") as file:
        golden = dict(file)
    pooling = json.loads(str(golden["about"]))["pooling"]
    with tempfile.TemporaryDirectory() as folder:
        base, adapter = write_base(golden, Path(folder, "base")), Path(folder, "adapter")
        train(case, base, adapter)
        found = vectors(AutoModel.from_pretrained(adapter, attn_implementation="eager"), golden, pooling)
        plain = AutoModel.from_pretrained(base, attn_implementation="eager")
        without = vectors(plain, golden, pooling)
        by_peft = found
        if case.trained_as == "AutoModel":
            by_peft = vectors(PeftModel.from_pretrained(plain, adapter), golden, pooling)
        settings = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        tensors = load_file(adapter / "adapter_model.safetensors")
    difference, effect = np.abs(found - by_peft).max(), np.abs(found - without).max()
    print(f"{name}: {len(tensors)} tensors, transformers and peft {difference:.1e} apart, the base {effect:.2f} away")
    assert difference < SAME and effect > 0.05
    about = {"versions": {p: version(p) for p in LIBRARIES}, "python": sys.version.split()[0], "pooling": pooling}
    settings |= {"base_model_name_or_path": None, "target_modules": listed(settings["target_modules"])}
    arrays = {f"tensors/{key}": array.astype(np.float16) for key, array in tensors.items()}
    np.savez_compressed(
        out / f"{name}.npz",
        about=np.array(json.dumps(about)),
        settings=np.array(json.dumps(settings)),
        vectors=found,
        **arrays,
    )


def listed(names: str | list[str]) -> str | list[str]:
    """The same names in an order that does not change from run to run."""
    return names if isinstance(names, str) else sorted(names)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    place, *chosen = sys.argv[1:]
    Path(place).mkdir(exist_ok=True)
    for case in chosen or CASES:
        make(case, CASES[case], Path(place))
