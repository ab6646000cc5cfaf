"""A second reader of a folder's settings, which shares no code with the first: it writes what it understood anew.

It reads settings that are sound, and judges nothing: the folder that it writes is in the old spelling, every setting
in its plainest form.  A folder that loads gives the vectors of that one, bit for bit.
"""

import json
import shutil

from module_cases import FLAGS, MODES
from tiny import write_json

SIZES = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"]
NEEDED = [*SIZES, "max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps", "model_type"]


def read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def said(raw, key, otherwise):
    """A setting; null counts as missing."""
    return otherwise if raw.get(key) is None else raw[key]


def length(folder, positions):
    """The limit in tokens: as is said, else by the tokenizer, and never more than the positions."""
    explicit = read(folder / "sentence_bert_config.json").get("max_seq_length")
    if explicit is not None:
        return min(explicit, positions)
    limit = read(folder / "tokenizer_config.json").get("model_max_length")
    is_number = type(limit) in (int, float) and limit >= 1
    return int(min(limit, positions)) if is_number else positions


def pooling(raw):
    """Modes in their order, and whether prompts are pooled."""
    modes = said(raw, "pooling_mode", [mode for mode in MODES if raw.get(FLAGS[mode])] or ["mean"])
    return [modes] if isinstance(modes, str) else modes, said(raw, "include_prompt", True)


def rewrite(source, target):
    """Write the settings of a folder to a new one."""
    config = read(source / "config.json")
    write_json(target / "config.json", {key: config[key] for key in NEEDED} | {"pad_token_id": 0})
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, target / name)
    lengths = read(source / "sentence_bert_config.json")
    limit = length(source, config["max_position_embeddings"])
    lower = said(lengths, "do_lower_case", False)
    write_json(target / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": lower})
    entries = []
    for i, module in enumerate(read(source / "modules.json")):
        name, path = module["type"].split(".")[-1], source / said(module, "path", "")
        raw, place = read(path / "config.json") if i else {}, "" if i == 0 else f"{i}_{name}"
        if name == "Pooling":
            modes, include = pooling(raw)
            write_json(target / place / "config.json", {"pooling_mode": modes, "include_prompt": include})
        elif name == "Dense":
            keys = {"in_features": raw["in_features"], "out_features": raw["out_features"]}
            keys |= {"bias": said(raw, "bias", True), "use_residual": said(raw, "use_residual", False)}
            activation = raw.get("activation_function", "Tanh").split(".")[-1]
            write_json(target / place / "config.json", keys | {"activation_function": f"torch.nn.{activation}"})
        elif name == "LayerNorm":
            write_json(target / place / "config.json", {"dimension": raw["dimension"]})
        if name in ("Dense", "LayerNorm"):
            shutil.copy(path / "model.safetensors", target / place / "model.safetensors")
        entries.append({"idx": i, "name": str(i), "path": place, "type": f"sentence_transformers.models.{name}"})
    write_json(target / "modules.json", [entry for entry in entries if not entry["type"].endswith("Dropout")])
    overall = read(source / "config_sentence_transformers.json")
    prompts = {name: text for name, text in said(overall, "prompts", {}).items() if text}
    default = said(overall, "default_prompt_name", "")
    settings = {"prompts": prompts, "default_prompt_name": default if default in prompts else None}
    settings |= {"truncate_dim": overall.get("truncate_dim")}
    settings |= {"similarity_fn_name": said(overall, "similarity_fn_name", "cosine")}
    write_json(target / "config_sentence_transformers.json", settings)
    return target
