"""The report's section on the kernels' missed targets: how close they came, what was tried, what limits them."""

from generations import tiled
from peers import OURS
from report_common import Generations, by_date, generation, over_best, share_of_tiles, table
from report_targets import SPEED, TILED_SPEED, TILED_WIDE, known_figures, tiled_ratios, verdict

TILED_KINDS = ("bfloat16 over the best that is as near", "bfloat16 over the best in int8", "float32")
LAYERS = 6  # of all-MiniLM-L6-v2: the products of one are measured
MEMORY = "int8: memory above NumPy and Numba at the first vector"
PROFILE = """Microseconds are per token, from the race, with two threads. On one core of a Zen 5 that nobody else
used, a token of a short text took about 30:

| linear layers, with GELU | quantising | attention | LayerNorm | the rest |
| ---: | ---: | ---: | ---: | ---: |
| 22.6 | 2.5 | 1.6 | 0.9 | 2.4 |

The rest is moving weights and activations through the caches, tokenizing and Python. The linear layers do not reach
the peak because each group of 192 inputs must be scaled, tiles are not full at the edges, and weights come from
beyond the first-level cache. Larger groups would be less accurate: with whole rows as groups, the mean cosine is
0.9988 instead of 0.9994. With all four products at the peak (19.2 instead of 22.6), a token would take 26.6, which
is 1.13 times as fast; if quantising took no time either, 24.1, which is 1.24 times as fast."""
TILED_PROFILE = """On one core of a Granite Rapids that nobody else used, µs per token in texts of 256 tokens, all six
layers, each part measured by itself:

|  | queries, keys, values | attention | its output | hidden layer, with GELU | output layer | together |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| bfloat16 | 3.8 | 5.7 | 1.3 | 5.7 | 5.5 | 22.0 |
| float32, three planes | 18.1 | 14.5 | 5.4 | 25.7 | 22.8 | 86.5 |

The products of a token are 23.6 MFLOP in bfloat16. At the tile unit's peak (3.3 to 3.5 TFLOP/s) they would take 7; with
loads from the first-level cache, the unit does 2.6 to 2.9 TFLOP/s on random numbers, which is 9. The rest is finishing
blocks, softmax, and loads from the second-level cache. A single query of 14 tokens in bfloat16 takes 0.51 ms in the
kernels, on two cores, of which 0.37 are reading 21 MB of weights from the third-level cache (28 GB/s a core), and 0.3
in Python. In float32 it reads 42 MB: 0.75 of 1.3 ms. [The kernels' page](../docs/kernels.md) lists what was tried."""
TRIED = """What was tried, in µs per token on one core (int8; [the kernels' page](../docs/kernels.md) has the full
list):

- attention head by head, in bfloat16, instead of the queries, keys and values of all heads at once: 37.8 instead of
  42.4 at 256 tokens;
- GELU and quantising in bands that never leave the first-level cache: 29.9 instead of 31.2 at 14 tokens;
- chunks of 112, 224 and 448 rows: 33.7, 31.2 and 30.4 at 14 tokens;
- a tile for every number of rows, prefetched weights, chunks of similar size. All of these are in use.

Not tried yet: quantising rows when LayerNorm and attention write them, instead of reading the rows again."""
ADDED = """On a machine without tiles the same program peaked 54 MB above NumPy and Numba: packed weights, tables and
the temporary memory of packing one layer 22, the tokenizer 12, LLVM's loader and its model of the CPU 13, modules and
the self-test 7. Numba's compiler and bitcode for linking (42 MB) are no longer loaded."""


def missed(generations: Generations) -> str:
    """The section; empty if all targets are met."""
    encodes = by_date(generations, "encode")
    tiles = [found for found in encodes if tiled(found["encode"]["machine"])]
    others = [found for found in encodes if not tiled(found["encode"]["machine"])]
    parts = [part for found in tiles for part in of_tiles(found)]
    parts += [TILED_PROFILE] if parts else []
    parts += [part for found in others[:1] for part in speed(found)]
    parts += memory(generations)
    return "\n\n".join(["## Missed targets", *parts]) if parts else ""


def of_tiles(results: dict[str, dict]) -> list[str]:
    """How close the tile units came to their ratios, and to their peak."""
    encode, wide = results["encode"], results.get("wide", {})
    lines = [
        line
        for workload, limits in TILED_SPEED.items()
        for line in missed_of_tiles(workload, encode.get("results", {}).get(workload, {}), limits, encode)
    ]
    for workload, limit in TILED_WIDE.items():
        lines += missed_of_tiles(workload, wide.get("results", {}).get(workload, {}), (limit, 0.0, 0.0), wide)
    if not lines:
        return []
    header = ["", "", "ratio", "target", "of the target", "core-µs per token", "share of the tiles' peak"]
    return [f"**{generation(encode)}**:", table(header, lines, left=2)]


def missed_of_tiles(workload: str, rows: dict, limits: tuple[float, float, float], result: dict) -> list[list[str]]:
    """A row for each ratio of a workload that is below its target."""
    lines = []
    for kind, (ratio, _, limit) in zip(TILED_KINDS, tiled_ratios(rows, limits), strict=True):
        if ratio is not None and ratio < limit:
            rate = rows[OURS["float32" if kind == "float32" else "bfloat16"]]["tokens_per_s"]
            spent = f"{result['settings']['threads'] * 1e6 / rate:.1f}"
            model = result.get("model") or result.get("models", {}).get(workload.partition(",")[0], {})
            share = "" if kind == "float32" else share_of_tiles(result, model, rows)
            lines.append([workload, kind, f"{ratio:.2f}", f"≥ {limit}", f"{ratio / limit:.0%}", spent, share])
    return lines


def speed(results: dict[str, dict]) -> list[str]:
    """How close int8 came to its ratios, and how close it would come with linear layers at the peak."""
    encode = results["encode"]
    lines = []
    for workload, (_, _, limit) in SPEED.items():
        rows = encode.get("results", {}).get(workload, {})
        ratio, _ = over_best(rows, "int8")
        if ratio is None or verdict(ratio, "≥", limit) == "met":
            continue
        spent = encode["settings"]["threads"] * 1e6 / rows[OURS["int8"]]["tokens_per_s"]
        saved = saving(results.get("kernels", {}))
        at_peak = "not measured" if saved is None else f"{ratio * spent / (spent - saved):.2f}"
        lines.append([workload, f"{ratio:.2f}", f"≥ {limit}", f"{ratio / limit:.0%}", f"{spent:.1f}", at_peak])
    header = [
        "int8",
        "ratio",
        "target",
        "of the target",
        "core-µs per token",
        "ratio with linear layers at the peak",
    ]
    return [f"**{generation(encode)}**:", table(header, lines), PROFILE, TRIED] if lines else []


def saving(kernels: dict) -> float | None:
    """Microseconds a token that linear layers would save at the peak, from their best share of it."""
    linear = kernels.get("linear", {}).get("int8")
    if not linear:
        return None
    rows, share = max(((n, s) for n, s in linear["shares"].items() if n.isdigit()), key=lambda found: found[1])
    shapes = [product["shape"] for product in linear["products"] if str(product["rows"]) == rows]
    at_peak = (
        LAYERS * sum(2 * width * out_width for width, out_width in shapes) / kernels["peaks"]["int8"]["peak"] / 1e3
    )
    return at_peak * (1 / share - 1)


def memory(generations: Generations) -> list[str]:
    """How close int8's memory came, and what it consists of."""
    ((added, sign, limit),) = [figure[2:5] for figure, _ in known_figures(generations) if figure.what == MEMORY]
    if added is None or verdict(added, sign, limit) == "met":
        return []
    return [f"Memory above NumPy and Numba: {added:.0f} MB; the target was {limit:.0f} MB.", ADDED]
