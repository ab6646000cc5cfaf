"""Small sentence-transformers folders with every module, for the maker of goldens and for the tests.

The transformer is that of tests/support/tiny.py; the weights of the modules come from seeds.
"""

import json
from dataclasses import dataclass, field

import numpy as np
import tiny
from safetensors.numpy import save_file

WIDTH = 32
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
FLAGS = {mode: f"pooling_mode_{mode if mode == 'mean_sqrt_len_tokens' else mode + '_tokens'}" for mode in MODES}
FLAGS |= {"cls": "pooling_mode_cls_token", "lasttoken": "pooling_mode_lasttoken"}
ACTIVATIONS = "Tanh ReLU GELU SiLU Sigmoid LeakyReLU ReLU6 ELU SELU Mish Softplus Softsign Hardtanh".split()

TEXTS = ["", "a", "a cat", "the dog on the river and the bread in the oven", "Sun, rain & snow!", "中 文 and 🙂 ß²"]
TEXTS += [" ".join(tiny.WORDS), "unbelievable tests", "x" * 40, "query: tree", "  over  under  ", "RE-INDEX the CACHE"]
TEXTS += [f"{word} of the {other}" for word, other in zip(tiny.WORDS[10:18], tiny.WORDS[20:28], strict=True)]


@dataclass(frozen=True)
class Case:
    """A folder: pooling, (class, settings) of the modules behind it, overall settings; and what is computed of it."""

    pooling: object = "mean"  # a mode or a list of modes
    include_prompt: bool = True
    modules: tuple = ()
    overall: dict = field(default_factory=dict)
    calls: tuple = (("encode", {}),)  # methods and their options


def dense(n_in, n_out, activation="Tanh", **settings):
    """The settings of a Dense module."""
    place = "linear" if activation == "Identity" else "activation"
    named = f"torch.nn.modules.{place}.{activation}"
    return "Dense", {"in_features": n_in, "out_features": n_out, "bias": True, "activation_function": named} | settings


NORMALIZE, LAYER_NORM, DROPOUT = ("Normalize", {}), ("LayerNorm", {"dimension": WIDTH}), ("Dropout", {"dropout": 0.5})
EXCLUDED = (("encode", {"prompt": "the query "}), ("encode", {"prompt": "sun"}), ("encode", {}))
CUTS = tuple(("encode", {"truncate_dim": n, "normalize_embeddings": b}) for n in (None, 8) for b in (False, True))

POOLING = {mode: Case(mode) for mode in MODES}
POOLING |= {
    "all": Case(list(MODES)),
    "list": Case(["lasttoken", "mean", "cls"]),
    "normalized": Case(modules=(NORMALIZE,)),
}
POOLING |= {f"{mode} without prompt": Case(mode, include_prompt=False, calls=EXCLUDED) for mode in MODES}
POOLING |= {"list without prompt": Case(["weightedmean", "cls"], include_prompt=False, calls=EXCLUDED)}

DENSE = {name: Case(modules=(dense(WIDTH, 24, name),)) for name in (*ACTIVATIONS, "Identity")}
DENSE |= {"no bias": Case(modules=(dense(WIDTH, 24, bias=False),))}
DENSE |= {"residual": Case(modules=(dense(WIDTH, WIDTH, use_residual=True),))}
DENSE |= {"projected residual": Case(modules=(dense(WIDTH, 40, "GELU", use_residual=True),))}

STACKS = {
    "layer norm": Case(modules=(LAYER_NORM,)),
    "like LaBSE": Case("cls", modules=(dense(WIDTH, WIDTH), NORMALIZE)),
    "like distiluse": Case(modules=(dense(WIDTH, 24),)),
    "matryoshka": Case(modules=(dense(WIDTH, 24, "Identity", bias=False), NORMALIZE), calls=CUTS),
    "truncated by itself": Case(modules=(dense(WIDTH, 24), NORMALIZE), overall={"truncate_dim": 12}, calls=CUTS),
    "everything": Case(
        ["mean", "max"],
        modules=(
            ("LayerNorm", {"dimension": 2 * WIDTH}),
            dense(2 * WIDTH, 48, "GELU"),
            NORMALIZE,
            DROPOUT,
            dense(48, 20, use_residual=True),
            NORMALIZE,
            dense(20, 7, "Identity"),
        ),
        calls=CUTS[:2],
    ),
}

PROMPTED = {"query": "the query ", "document": "a book ", "other": "rain: "}
TASKS = tuple((method, {}) for method in ("encode", "encode_query", "encode_document"))
ASKED = tuple(("encode", options) for options in ({"prompt_name": "other"}, {"prompt": "in "}, {"prompt": ""}))
PROMPTS = {
    "named": Case(modules=(NORMALIZE,), overall={"prompts": PROMPTED}, calls=TASKS + ASKED),
    "default": Case(overall={"prompts": PROMPTED, "default_prompt_name": "other"}, calls=TASKS + ASKED),
    "none": Case(calls=(*TASKS, ("encode", {"prompt_name": "query"}), ("encode", {"prompt_name": "document"}))),
    "only a default": Case(overall={"prompts": {"x": "rain: "}, "default_prompt_name": "x"}, calls=TASKS),
    "null": Case(overall={"prompts": {"query": None, "x": None}}, calls=(*TASKS, ("encode", {"prompt_name": "x"}))),
}
FILES = {"pooling": POOLING, "dense": DENSE, "stacks": STACKS, "prompts": PROMPTS}


def module_tensors(name, settings, seed):
    """The weights of a module, by stored name."""
    rng = np.random.default_rng(seed)

    def normal(*shape, scale=1.0, middle=0.0):
        return (middle + scale * rng.standard_normal(shape)).astype(np.float32)

    if name == "LayerNorm":
        n = settings["dimension"]
        return {"norm.weight": normal(n, scale=0.2, middle=1.0), "norm.bias": normal(n, scale=0.2)}
    if name != "Dense":
        return {}
    n_in, n_out = settings["in_features"], settings["out_features"]
    tensors = {"linear.weight": normal(n_out, n_in, scale=1 / n_in**0.5), "linear.bias": normal(n_out, scale=0.3)}
    if not settings["bias"]:
        del tensors["linear.bias"]
    if settings.get("use_residual") and n_in != n_out:
        tensors["residual.weight"] = normal(n_out, n_in, scale=1 / n_in**0.5)
    return tensors


def pooling_settings(case):
    """1_Pooling/config.json, with the old flags wherever they can say it."""
    modes = [case.pooling] if isinstance(case.pooling, str) else case.pooling
    if modes != [mode for mode in MODES if mode in modes]:  # flags have no order of their own
        new = {"embedding_dimension": WIDTH, "pooling_mode": modes}
        return new | ({} if case.include_prompt else {"include_prompt": False})
    old = {"word_embedding_dimension": WIDTH} | {flag: mode in modes for mode, flag in FLAGS.items()}
    return old if case.include_prompt else old | {"include_prompt": False}


def write_case(folder, case):
    """Write the folder of a case in the old spelling."""
    entries = [("", "Transformer"), ("1_Pooling", "Pooling")]
    for i, (name, settings) in enumerate(case.modules, 2):
        entries.append((f"{i}_{name}", name))
        if settings:
            tiny.write_json(folder / entries[-1][0] / "config.json", settings)
        if tensors := module_tensors(name, settings, seed=i):
            save_file(tensors, folder / entries[-1][0] / "model.safetensors", metadata={"format": "pt"})
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(entries)
    ]
    tiny.write_tiny_checkpoint(
        folder, modules=modules, pooling=pooling_settings(case), sentence_transformers=dict(case.overall)
    )
    (folder / "2_Normalize").rmdir() if ("2_Normalize", "Normalize") not in entries else None
    return folder


def write_stored(folder, golden, name):
    """Write the folder of a case as sentence-transformers saved it: the golden holds all but the transformer."""
    tiny.write_tiny_checkpoint(folder, modules=[])
    for path in ("sentence_bert_config.json", "tokenizer_config.json", "1_Pooling/config.json"):
        (folder / path).unlink()
    for path, content in json.loads(str(golden[f"{name}/texts"])).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    for key in golden.files:
        if key.startswith(f"{name}/weights/"):
            path = folder / key.removeprefix(f"{name}/weights/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(golden[key].tobytes())
    return folder
