"""The file: a template, its style and script, and the data in blocks that cannot contain markup."""

import html
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minembed.maps.marks import visible
from minembed.runtime.pages import BASE, DOM, fill, part_of, policy
from minembed.study.explanation import LEVELS, Explanation
from minembed.study.report.packing import facts_block, fitted_shares, steps_of
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.study.report.contents import Report

SIZE = 5_000_000  # bytes of a page, at most
SCRIPTS = ("colours.js", "data.js", "chips.js", "pairs.js", "attention.js", "layers.js", "corpus.js")
TITLES = {"output": "Output tokens", "input": "Input tokens", "integrated": "Gradients", "deletion": "Left out"}
part = partial(part_of, "minembed.study.report")


def page(report: "Report") -> str:
    """Write a report as a page that needs nothing else."""
    facts, blocks = facts_of(report), {}
    for i, (level, found) in enumerate(zip(facts["levels"], report.explanations, strict=True)):
        blocks[f"level{i}"], level["step"] = steps_of(found.matrix)
    if report.corpus is not None:
        blocks |= report.corpus.blocks
    style = BASE + part("page.css")
    script = '"use strict";\n' + "\n".join([DOM, *(part(name) for name in (*SCRIPTS, "main.js"))])
    used = sum(map(len, blocks.values())) + len(script) + len(style) + len(facts_block(facts)) + 20_000
    facts["attention"] = attention_of(report, (SIZE - used) // 2, blocks)
    blocks["facts"] = facts_block(facts)
    data = "\n".join(
        f'<script type="application/octet-stream" id="data-{name}">{text}</script>' for name, text in blocks.items()
    )
    values = {"title": html.escape(visible(report.title)), "policy": policy(script, style)}
    return fill(part("page.html"), values | {"style": style, "data": data, "script": script})


def facts_of(report: "Report") -> dict[str, Any]:
    """The data of the script, apart from the arrays."""
    first = report.explanations[0]
    return {
        "model": report.model,
        "similarity": first.similarity,
        "score": first.score,
        "notes": list(report.notes),
        "sides": [{"text": visible(t.text), "pieces": list(t.pieces)} for t in report.traces],
        "levels": [level_of(found) for found in report.explanations],
        "layers": {"names": list(report.layers), "scores": list(report.layers.values())},
        "heads": {
            "changes": None if report.heads is None else report.heads.round(6).tolist(),
            "note": report.heads_note,
        },
        "strongest": strongest(report.heads),
        "corpus": None if report.corpus is None else report.corpus.facts,
    }


def strongest(heads: Array | None) -> list[int]:
    """The layer and head of the largest change, which the page shows first.

    >>> strongest(np.array([[0.1, -0.3], [0.2, 0.0]]))
    [0, 1]
    """
    return [0, 0] if heads is None else list(divmod(int(np.abs(heads).argmax()), heads.shape[1]))


def level_of(found: Explanation) -> dict[str, Any]:
    """The data of an explanation, apart from its matrix."""
    return {
        "name": found.level,
        "title": TITLES[found.level],
        "words": LEVELS[found.level],
        "sum": found.sum,
        "residual": found.residual,
        "adds": found.level != "deletion",  # whether the parts are meant to add up to the score
        "labels": [list(found.a.labels), list(found.b.labels)],
        "tokens": [part.tolist() for part in found.of_tokens()],  # the contribution of each
        "notes": list(found.notes),
        "test": "" if found.test is None else str(found.test),
    }


def attention_of(report: "Report", room: int, blocks: dict[str, str]) -> dict[str, Any] | None:
    """Attention of both texts, as much as fits; adds it to the blocks."""
    if not report.attention:
        return None
    kept = []
    for side, probabilities in enumerate(report.attention):
        try:
            values, keys, most = fitted_shares(probabilities, room)
        except ValueError:
            return None
        blocks[f"shares{side}"] = values
        if keys:
            blocks[f"keys{side}"] = keys
        kept.append(most)
    layers, heads = report.attention[0].shape[:2]
    names = zip(("first", "second"), kept, strict=True)
    cut = [f"of the {name} text, the {most} largest shares of a token" for name, most in names if most]
    note = f"To keep the page small, it holds {' and '.join(cut)}." if cut else ""
    return {"layers": layers, "heads": heads, "most": kept, "note": note}
