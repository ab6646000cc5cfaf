"""Checkpoints of BERT-base's and BERT-large's shape, made of random numbers: what wider encoders cost to run.

Speed does not depend on what the weights say, but it does depend on what kind of numbers they are: matrix units draw
less power on zeros and constants, and run up to 1.5 times faster. So every weight is a normal number, scaled by its
inputs so that activations stay near 1 in every layer, with attention as uneven as in a trained model. The tokenizer is
that of the folder given, which lends its vocabulary.
"""

import json
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from peers.prepared import ensure

SEED = 8
VOCABULARY, POSITIONS = 30522, 512
LENT = ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "modules.json")
SHARP = 1.3  # queries and keys: scores of about this spread squared, so that some tokens count ten times as much
SPREAD = 0.1  # of the factors of LayerNorm around 1, of its shifts, and of biases, around 0


@dataclass(frozen=True)
class Shape:
    """An encoder's size."""

    title: str
    layers: int
    width: int
    heads: int

    @property
    def inner(self) -> int:
        """The feed-forward layer's width."""
        return 4 * self.width


SHAPES = {768: Shape("BERT-base", 12, 768, 12), 1024: Shape("BERT-large", 24, 1024, 16)}
FUSED = (768,)  # widths at which ONNX Runtime takes part: it is slow, and wider graphs take minutes to fuse


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...], float, float]]:
    """Each tensor by its name in a checkpoint: its size, mean and spread."""
    width, inner = shape.width, shape.inner
    for name, rows in (("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2)):
        yield f"embeddings.{name}_embeddings.weight", (rows, width), 0.0, 1.0 if name == "word" else 0.3
    yield from norm("embeddings.LayerNorm", width)
    for layer in range(shape.layers):
        at = f"encoder.layer.{layer}"
        for part, sharp in (("query", SHARP), ("key", SHARP), ("value", 1.0)):
            yield from dense(f"{at}.attention.self.{part}", width, width, sharp)
        yield from dense(f"{at}.attention.output.dense", width, width)
        yield from norm(f"{at}.attention.output.LayerNorm", width)
        yield from dense(f"{at}.intermediate.dense", width, inner)
        yield from dense(f"{at}.output.dense", inner, width)
        yield from norm(f"{at}.output.LayerNorm", width)
    yield from dense("pooler.dense", width, width)  # it is not used, but its absence causes a warning


def dense(
    name: str, inputs: int, outputs: int, sharp: float = 1.0
) -> Iterator[tuple[str, tuple[int, ...], float, float]]:
    """A linear layer that turns inputs of spread 1 into outputs of spread `sharp`."""
    yield f"{name}.weight", (outputs, inputs), 0.0, sharp / inputs**0.5
    yield f"{name}.bias", (outputs,), 0.0, SPREAD


def norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...], float, float]]:
    """A LayerNorm with weights near 1 and shifts near 0."""
    yield f"{name}.weight", (width,), 1.0, SPREAD
    yield f"{name}.bias", (width,), 0.0, SPREAD


def weights(shape: Shape) -> dict[str, np.ndarray]:
    """Every tensor; each has a generator of its own, seeded by its name, so that none depends on the others."""
    made = {}
    for name, size, mean, spread in tensors(shape):
        rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        made[name] = rng.standard_normal(size, np.float32) * np.float32(spread) + np.float32(mean)
    return made


def config(shape: Shape) -> dict:
    """The settings of config.json."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "vocab_size": VOCABULARY,
        "pad_token_id": 0,
    }


def ensure_checkpoint(shape: Shape, lender: Path, folder: Path) -> dict:
    """Write the checkpoint unless it is there already; its record."""
    made_of = {"seed": SEED, "shape": asdict(shape), "spreads": [SHARP, SPREAD]}
    return ensure(folder / "model.safetensors", made_of, ("numpy",), lambda: write(shape, lender, folder))


def write(shape: Shape, lender: Path, folder: Path) -> dict:
    """The folder's files: weights, configuration, and the tokenizer that it is lent."""
    from safetensors.numpy import save_file

    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    for name in LENT:
        if (lender / name).exists():
            shutil.copyfile(lender / name, folder / name)
    pooling = {"word_embedding_dimension": shape.width, "pooling_mode_mean_tokens": True}
    contents = {
        "config.json": config(shape),
        "sentence_bert_config.json": {"max_seq_length": POSITIONS, "do_lower_case": False},
        "1_Pooling/config.json": pooling,
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    made = weights(shape)
    save_file(made, str(folder / "model.safetensors"), metadata={"format": "pt"})
    return {"parameters": sum(tensor.size for tensor in made.values())}


def prepare(folder: Path, work: Path) -> dict:
    """The peers' graphs of a checkpoint: OpenVINO's, and ONNX Runtime's with everything fused, where it takes part.

    The graph as exported, of a gigabyte and more, is not kept.
    """
    from peers import onnx_graph, openvino_graph
    from peers.folder import weights_digest

    made_of = {"weights_sha256": weights_digest(folder), "opset": onnx_graph.OPSET}
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    work.mkdir(parents=True, exist_ok=True)

    def make() -> dict:
        raw, target = onnx_graph.raw_path(work), work / "openvino-float32.xml"
        onnx_graph.export(folder, raw)
        takes_part = said["hidden_size"] in FUSED
        fused = onnx_graph.fuse(raw, onnx_graph.graph_path(work), said) if takes_part else {}
        openvino_graph.convert(raw, target)
        raw.unlink()
        return {"fused": fused}

    return ensure(work / "openvino-float32.xml", made_of, ("openvino", "onnxruntime", "torch"), make)
