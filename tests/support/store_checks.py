"""Compare the results of a store with top_k: the same order up to rounding, or a share of the neighbours."""

import sys
from typing import Any

import numpy as np
from store_expected import Approximate, Exact

from minembed import top_k

K = 10
Found = list[tuple[int, float]]  # ids and cosines, best first


def compared(found: list[Found], queries: Any, vectors: Any, ids: Any) -> dict[str, Any]:
    """The difference of results from top_k over `vectors`, whose rows have these ids."""
    scores, rows = top_k(queries, vectors, K, metric="cosine", backend="numpy")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    place = {int(name): i for i, name in enumerate(ids)}
    shared = same = 0
    rounding = lost = swapped = 0.0
    for query, best, best_scores, own in zip(queries, ids[rows], scores, found, strict=True):
        names = [name for name, _ in own]
        where = [place[name] for name in names]  # a KeyError names a row that should not be there
        assert len(set(names)) == len(names)
        query = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
        true = (vectors[where].astype(np.float64) @ query) / lengths[where]
        shared += len(set(names) & set(best.tolist()))
        same += names == best.tolist()
        rounding = max([rounding, *np.abs(true - [score for _, score in own])])
        swapped = max([swapped, *(true[1:] - true[:-1])])
        if len(names) == K:
            lost = max(lost, float((best_scores - np.sort(true)[::-1]).max()))
    complete = all(len(own) == K for own in found)
    facts = {"recall": shared / (K * len(found)), "same_order": same, "queries": len(found), "complete": complete}
    return facts | {"rounding": float(rounding), "swapped": float(swapped), "lost": lost}


def hold(name: str, facts: dict[str, Any], to: Exact | Approximate) -> dict[str, Any]:
    """Raise if the facts are not as expected."""
    facts["exact"] = isinstance(to, Exact)
    if isinstance(to, Exact):
        fine = facts["complete"] and facts["rounding"] <= to.rounding
        fine = fine and max(facts["swapped"], facts["lost"]) <= 2 * to.rounding
    else:
        fine = facts["recall"] >= to.recall
    print(f"{name}: {facts}", file=sys.stderr)
    if not fine:
        raise AssertionError(f"{name} is not {to}")
    return facts
