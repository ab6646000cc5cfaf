"""Export the checkpoint to ONNX and fuse it: torch.onnx.export, then onnxruntime's transformer optimizer.

The fused graph is what ONNX Runtime can do at its best, so a graph that is only partly fused is refused.
"""

import json
from pathlib import Path

from peers.folder import weights_digest
from peers.prepared import ensure

OPSET = 17
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class NotFused(RuntimeError):
    """The optimizer left operators unfused; measuring that graph would flatter minembed."""


def graph_path(work: Path) -> Path:
    """The path of the fused graph."""
    return work / "fused.onnx"


def expected_fusions(layers: int) -> dict[str, int]:
    """The fused operators of a post-norm BERT, by its number of layers, if nothing was missed."""
    return {"Attention": layers, "BiasGelu": layers, "SkipLayerNormalization": 2 * layers}


def check_fusions(found: dict[str, int], layers: int) -> None:
    """Raise NotFused unless every layer was fused."""
    wrong = {
        name: found.get(name, 0) for name, count in expected_fusions(layers).items() if found.get(name, 0) != count
    }
    if wrong:
        raise NotFused(f"expected {expected_fusions(layers)}, the optimizer reports {wrong}")


def raw_path(work: Path) -> Path:
    """The path of the graph as torch exported it, without fused operators."""
    return work / "raw.onnx"


def ensure_graph(folder: Path, work: Path) -> dict:
    """The record of the fused graph of this checkpoint, exporting it first unless it is there already."""
    made_of = {"weights_sha256": weights_digest(folder), "opset": OPSET}

    def make() -> dict:
        from importlib.metadata import version

        export(folder, raw_path(work))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return {"torch": version("torch"), "fused": fuse(raw_path(work), graph_path(work), config)}

    return ensure(graph_path(work), made_of, ("onnxruntime",), make)


def export(folder: Path, target: Path) -> None:
    """The encoder, last hidden states out, with batch and length left open."""
    import torch
    from transformers import AutoModel

    class LastHidden(torch.nn.Module):
        def __init__(self, model: torch.nn.Module):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            output = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return output.last_hidden_state

    # Eager attention is the spelling that the optimizer's pattern knows; it fuses it to one Attention operator.
    model = LastHidden(AutoModel.from_pretrained(folder, attn_implementation="eager").eval())
    ones = torch.ones(2, 8, dtype=torch.long)
    torch.onnx.export(
        model,
        (ones, ones, ones * 0),
        str(target),
        input_names=INPUTS,
        output_names=["hidden"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in [*INPUTS, "hidden"]},
        opset_version=OPSET,
        dynamo=False,
    )


def fuse(source: Path, target: Path, config: dict) -> dict[str, int]:
    """Write the fused graph; the optimizer's count of each fused operator."""
    from onnxruntime.transformers.optimizer import optimize_model

    model = optimize_model(
        str(source),
        model_type="bert",
        num_heads=config["num_attention_heads"],
        hidden_size=config["hidden_size"],
        opt_level=0,
    )
    found = {name: int(count) for name, count in model.get_fused_operator_statistics().items()}
    check_fusions(found, config["num_hidden_layers"])
    model.save_model_to_file(str(target))
    return found
