"""Write the tables of docs/models.md: families, how they are proven, known checkpoints, and what is refused.

    python tests/goldens/make/make_model_table.py docs/models.md

What can be told from the code and the goldens is the same everywhere, and tests/house/test_model_table.py holds it; the
distances are measured anew, on the machine at hand.
"""

import re
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import golden_families as goldens
import golden_heads
import numpy as np

from minembed.errors import BackendWarning
from minembed.runtime import backend
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.pooling import pool
from minembed.transformer.vectors import l2_normalize
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES, read_params
from minembed.weights.heads import CLASSIFIERS, MASKED
from minembed.weights.sources.known import KNOWN

TIERS = ("numpy", "numba")
FEATURES = ["model_type", "positions", "norms", "feed-forward", "other choices", "heads", "checkpoints"]
PROOF = ["model_type", "goldens", "goldens of heads", "reference"]
PROOF += [*(f"float32, {tier}" for tier in TIERS), "bfloat16", "int8"]
MODELS = ["name", "family", "width", "tokens", "pooling", "before a query", "before a passage", "MB", "licence"]
MODELS += ["tested on"]
MEASURED = 4  # the first measured column of PROOF
MARKED = r"(<!-- table: {} -->\n\n).*?(\n\n<!-- end -->)"


@cache
def checkpoint(name):
    """The folder of a golden, read: what is kept of it, and its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        found = read_checkpoint(goldens.write_checkpoint(goldens.read(name), Path(folder)))
        return found, read_params(found)


def of_family(family):
    """The goldens of a family; the plain one comes first."""
    return [name for name in goldens.NAMES if goldens.family_of(name) == family]


def shown(family):
    """A family by the model_type that stands in config.json."""
    return "`bert`, with `alibi`" if family == "jina_bert" else f"`{family}`"


def features(family):
    """What a family does at each choice: one row."""
    config, names = checkpoint(family)[0].config, FAMILIES[family].names
    positions = {"absolute": "learned", "rotary": "rotary", "alibi": "slopes (ALiBi)"}[config.position_embedding_type]
    if config.padding_idx is not None:
        positions += ", from the padding token's id + 1"
    if config.relative_attention_num_buckets:
        positions += ", and a learned bias for distance"
    norms = "before each block" if config.pre_norm else "after each sum"
    norms = norms.replace("before", "before and after") if "layers.{}.output_post_norm" in names else norms
    norms += ", RMS" if config.norm_type == "rms_norm" else ""
    others = {
        "windows in most layers": config.local_attention > 0,
        "causal": config.causal,
        "heads share keys and values": config.key_value_heads < config.num_attention_heads,
        "embeddings may be narrower": "embeddings.projection" in names,
        "all layers share weights": "{}" not in names["layers.{}.output"][0],
        "no segments": "embeddings.token_type" not in names,
        "no biases": len(config.without_bias) >= 4,
    }
    block = f"gated {config.hidden_act}" if config.gated else config.hidden_act
    listed = [model.name.rpartition("/")[2] for model in KNOWN if model.family == family and model.computed]
    few = ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "")
    tops = [kind for kind, table in (("pairs", CLASSIFIERS), ("masks", MASKED)) if family in table]
    chosen = "; ".join(name for name, chosen in others.items() if chosen)
    return [shown(family), positions, norms, block, chosen, ", ".join(tops), few]


def reference(family):
    """What computed the goldens of a family, in float64."""
    about = goldens.about(goldens.read(family))
    if about["reference"] == "transformers":
        return f"transformers {about['versions']['transformers']}"
    return "loops of our own (tests/support/oracle.py)"


def vectors(name, tier, dtype):
    """The vectors of the texts of a golden."""
    golden, (found, params) = goldens.read(name), checkpoint(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)
        got, compute = backend.prepare(tier, params, found.config, dtype)
    assert got == tier
    with single_threaded_blas():
        hidden = compute(goldens.tokens_of(golden))
    return l2_normalize(pool(hidden, golden["cu_seqlens"], [goldens.about(golden)["pooling"]]))


def measured(family):
    """The largest difference of each tier in float32; the smaller mean cosine of both in bfloat16 and in int8."""
    cells = []
    for tier in TIERS:
        differences = [np.abs(vectors(n, tier, "float32") - goldens.read(n)["pooled"]).max() for n in of_family(family)]
        cells.append(f"{max(differences):.0e}".replace("e-0", "e-"))
    for dtype in ("bfloat16", "int8"):
        cosines = [
            (vectors(n, tier, dtype) * goldens.read(n)["pooled"]).sum(axis=1).mean()
            for n in of_family(family)
            for tier in TIERS
        ]
        cells.append(f"{np.floor(min(cosines) * 1e5) / 1e5:.5f}")
    return cells


def proof(family, cells):
    """How a family is proven: one row."""
    of_heads = sum(goldens.family_of(name) == family for name in golden_heads.CASES)
    heads = str(of_heads or ("loops of our own" if family in CLASSIFIERS else "none"))
    return [shown(family), str(len(of_family(family))), heads, reference(family), *cells]


def known(model):
    """One row of the known checkpoints."""
    prefixes = [f"`{prefix!r}`" if prefix else "" for prefix in (model.query_prefix, model.passage_prefix)]
    numbers = ["a score" if model.width is None else str(model.width), str(model.max_tokens or "all")]
    name = model.name + (f" ({model.note})" if model.note else "")
    tested = "real weights" if model.tested else "generated"
    return [name, model.family, *numbers, model.pooling, *prefixes, f"{model.megabytes:,}", model.licence, tested]


def tables(measure):
    """Every table by its name; `measure(family)` gives the cells that differ from machine to machine."""
    return {
        "families": [FEATURES, *(features(family) for family in FAMILIES)],
        "proof": [PROOF, *(proof(family, measure(family)) for family in FAMILIES)],
        "models": [MODELS, *(known(model) for model in KNOWN if model.computed)],
        "refused": [["name", "model_type", "why"]]
        + [[model.name, f"`{model.family}`", model.refused] for model in KNOWN if not model.computed],
    }


def as_markdown(rows):
    """Lay out rows, the first of which is the header."""
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def from_markdown(page, name):
    """The rows of a table of the page."""
    lines = re.search(MARKED.format(name), page, re.S).group().splitlines()
    cells = (re.split(r"(?<!\\)\|", line[1:-1]) for line in lines if line.startswith("|"))
    rows = [[cell.strip().replace(r"\|", "|") for cell in row] for row in cells]
    return [rows[0], *rows[2:]]


def main():
    """Write the tables between their marks."""
    path = Path(sys.argv[1])
    page = path.read_text(encoding="utf-8")
    for name, rows in tables(measured).items():
        page, found = re.subn(
            MARKED.format(name), lambda m, rows=rows: m[1] + as_markdown(rows) + m[2], page, count=1, flags=re.S
        )
        assert found, f"{path} has no place for the table {name!r}"
    path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
