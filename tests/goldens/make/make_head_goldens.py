"""Write the goldens of heads: small random cross-encoders and masked-LM checkpoints, and what the references compute.

    python tests/goldens/make/make_head_goldens.py tests/goldens/heads [NAME ...]

Logits come from transformers, in float64 and in float32; scores and orders from sentence-transformers' CrossEncoder,
filled masks from transformers' pipeline.  A second run on the same machine writes the same bytes.
"""

import json
import sys
import tempfile
import zlib
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import golden_heads as heads
import numpy as np
import torch
from make_family_goldens import DOUBLE, LARGEST, LIBRARIES, SINGLE, draw, keep_angles, said_as, shapes_of, texts_of
from sentence_transformers import CrossEncoder
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, pipeline

MODELS = {"classifier": AutoModelForSequenceClassification, "masked": AutoModelForMaskedLM}
LENGTHS = (2, 3, 7, 13, 29, 41)


def make_model(case, kind, tensors, dtype):
    """Make a model of transformers, with the tensors under its own names."""
    config = heads.config_of(case, kind, native=True)
    named = {key: value for key, value in config.items() if key not in ("architectures", "transformers_version")}
    config = AutoConfig.for_model(**named)
    model = MODELS[kind].from_config(config, dtype=dtype, attn_implementation="eager").to(dtype).eval()
    if tensors is not None:
        stored = {name: torch.from_numpy(tensor).to(dtype) for name, tensor in tensors.items()}
        faults = model.load_state_dict(stored, strict=False)
        assert not faults.unexpected_keys and set(faults.missing_keys) <= tied(model), faults
        model.tie_weights()
    return model


def tied(model):
    """The tensors that are others, under a second name."""
    return set(model._tied_weights_keys or ())


def logits_of(model, ids, types):
    """Run one text."""
    inputs = {"input_ids": torch.tensor(ids[None]), "attention_mask": torch.ones(1, len(ids), dtype=torch.int64)}
    if types is not None:
        inputs["token_type_ids"] = torch.tensor(types[None])
    with torch.no_grad():
        return model(**inputs).logits[0].numpy().copy()


def run(case, kind, tensors, texts, dtype):
    """The logits of every text, (B, L), or of every token, (T, V)."""
    ids, types, cu_seqlens = texts
    single = make_model(case, kind, tensors, SINGLE)
    with said_as(dtype):
        model = make_model(case, kind, tensors, dtype)
        if dtype == DOUBLE:
            keep_angles(model.base_model, single.base_model)
        segments = types if heads.config_of(case, kind).get("type_vocab_size") else None
        parts = [
            logits_of(model, ids[a:b], None if segments is None else segments[a:b]) for a, b in pairwise(cu_seqlens)
        ]
    return np.stack(parts) if kind == "classifier" else np.concatenate(parts)


def draw_all(case, golden, rng):
    """The tensors of the encoder and of each head, by the reference's names; what is tied is left out."""
    encoder, groups = {}, {}
    for kind in case.kinds:
        model = make_model(case, kind, None, SINGLE)
        prefix, groups[kind] = f"{model.base_model_prefix}.", {}
        for name, shape in shapes_of(model).items():
            own = name.removeprefix(prefix)
            if name.startswith(prefix) and "pooler" not in own:
                if own not in encoder:
                    encoder[own] = draw(own, shape, rng, golden)
            elif name not in tied(model):
                groups[kind][name] = draw(name, shape, rng, golden)
    return encoder, groups


def to_hub(case, golden, encoder, head, prefix):
    """Both under the names that they have on the Hub."""
    found = {}
    for name, tensor in golden.to_hub(encoder).items():
        found[name if name.startswith(case.prefix) else case.prefix + name] = tensor
    own = {}
    for name, tensor in head.items():
        name = case.prefix + name.removeprefix(prefix) if name.startswith(prefix) else name
        for theirs, hub in case.renamed:
            name = name.replace(theirs, hub)
        own[name] = tensor
    return found, own


def answers(case, kind, tensors):
    """What the libraries answer to texts, from a folder with the hub's tensors."""
    config = heads.config_of(case, kind, native=True)
    float32 = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    with tempfile.TemporaryDirectory() as folder:
        heads.write_folder(Path(folder), config, float32)
        if kind == "masked":
            fill = pipeline("fill-mask", model=folder, tokenizer=folder, device="cpu", dtype=SINGLE)
            return {"filled": [fill(text, top_k=4) for text in heads.MASKS]}
        model = CrossEncoder(folder, device="cpu")
        found = {"scores": model.predict(heads.PAIRS, batch_size=1).tolist()}
        found["logits"] = model.predict(heads.PAIRS, batch_size=1, activation_fn=torch.nn.Identity()).tolist()
        if case.labels == 1:
            found["ranked"] = model.rank(heads.QUERY, heads.DOCUMENTS, return_documents=True)
        else:
            found["softmax"] = model.predict(heads.PAIRS, batch_size=1, apply_softmax=True).tolist()
        return found


def make(name, case, out):
    """Write the file of one case."""
    rng, golden = np.random.default_rng(zlib.crc32(name.encode())), heads.FAMILIES[case.family]
    encoder, groups = draw_all(case, golden, rng)
    texts = texts_of(replace(golden, lengths=LENGTHS), rng)
    arrays, distances, about = {}, {}, {"versions": {p: version(p) for p in (*LIBRARIES, "sentence_transformers")}}
    for kind, head in groups.items():
        prefix = f"{make_model(case, kind, None, SINGLE).base_model_prefix}."
        tensors = {prefix + n: t for n, t in encoder.items()} | head
        exact, single = (run(case, kind, tensors, texts, dtype) for dtype in (DOUBLE, SINGLE))
        hub, own = to_hub(case, golden, encoder, head, prefix)
        arrays |= {f"encoder/{n}": t for n, t in hub.items()} | {f"{kind}/{n}": t for n, t in own.items()}
        known = {n.replace("bert.", prefix, 1) if prefix == "nomic_bert." else n: t for n, t in (hub | own).items()}
        said = answers(case, kind, known)  # transformers does not know the prefix of NomicBERT's publishers
        arrays |= {kind: exact if kind == "classifier" else exact[:: heads.EVERY]} | {
            f"said/{key}": np.array(json.dumps(value)) for key, value in said.items()
        }
        distances[kind] = np.abs(exact - single).max() / np.abs(exact).max()
    ids, types, cu_seqlens = texts
    about |= {"python": sys.version.split()[0], "torch_distance": {k: float(d) for k, d in distances.items()}}
    small = {"ids": ids.astype(np.uint16), "types": types.astype(np.uint8), "cu_seqlens": cu_seqlens}
    path = out / f"{name}.npz"
    np.savez_compressed(path, about=np.array(json.dumps(about)), **small, **arrays)
    size = path.stat().st_size
    assert size < LARGEST, size
    print(f"{path.name}: {size:,} bytes; torch's float32 from float64: {distances}")


def main():
    """Write the files asked for, or all."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in sys.argv[2:] or heads.CASES:
        make(name, heads.CASES[name], out)


if __name__ == "__main__":
    main()
