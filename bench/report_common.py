"""The common parts of the report's sections: names, tables, the machine, missing contestants."""

from generations import of_record
from peers import CONTESTANTS, NATIVE, NUMPY, OURS

Generations = dict[str, dict[str, dict]]  # results by generation of processors, then by benchmark
COUNTER = "tokenizers"
TITLES = {name: who.title for name, who in CONTESTANTS.items()} | {COUNTER: "tokenising alone"}
TITLES |= {name: f"minembed, native, {precision}" for precision, name in NATIVE.items()}
FAMILIES = (  # in their colours' order; fastembed computes by ONNX Runtime
    ("minembed",),
    ("onnxruntime", "fastembed"),
    ("openvino",),
    ("ctranslate2",),
    ("sentence-transformers",),
)
NOISY = 0.05  # a lap is not reliable if others used more than this share of the machine
BUSY = "**Others used the machine during this measurement: do not rely on it, measure again.**"


def colour(name: str) -> int:
    """A contestant's colour: that of its family."""
    return next(number for number, family in enumerate(FAMILIES) if name.startswith(family))


def is_ours(name: str) -> bool:
    """Whether a contestant is minembed."""
    return name == NUMPY or name in OURS.values() or name in NATIVE.values()


def table(header: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table, its first columns left-aligned, the others right-aligned."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def noisy(rows: dict[str, dict]) -> list[str]:
    """The contestants during whose runs others used the machine."""
    return [TITLES[who] for who, row in rows.items() if (row.get("disturbance") or 0) > NOISY and who != COUNTER]


def machine(result: dict, pools: list[dict] | None = None) -> str:
    """Where, when and on what, in one paragraph."""
    on = result["machine"]
    blas = [pool for pool in pools or () if pool.get("user_api") == "blas"]
    kernel = "; ".join(f"{p['internal_api']} {p.get('version', '')}, kernel {p.get('architecture', '?')}" for p in blas)
    return (
        f"**{generation(result)}**: {on['cpu']}; {on['usable_cores']} of {on['cores']} cores, {on['memory_gb']} GB; "
        f"{on['system']}; {on['python']}"
        + (f"; NumPy's BLAS: {kernel}" if kernel else "")
        + f". Threads: {result['settings']['threads']}. {result['date']}, revision {revision(result)}."
    )


def generation(result: dict) -> str:
    """The generation of the processor that a result was measured on."""
    return of_record(result["machine"])["title"]


def revision(result: dict) -> str:
    """The revision that was measured."""
    commit = result["commit"]
    return (commit["id"] or "unknown")[:10] + (" with uncommitted changes" if commit["changed"] else "")


def by_date(generations: Generations, benchmark: str) -> list[dict[str, dict]]:
    """The results of each generation that has a benchmark, the last one measured first."""
    having = [results for results in generations.values() if benchmark in results]
    return sorted(having, key=lambda results: results[benchmark]["date"], reverse=True)


def missing(contestants: dict[str, dict]) -> str:
    """The contestants that took no part, with the reason; empty if all did."""
    lines = [
        f"- {TITLES.get(name, name)}: {kind}, {who[kind]}"
        for name, who in contestants.items()
        for kind in ("absent", "failed", "refused")
        if kind in who
    ]
    return "Did not take part:\n\n" + "\n".join(lines) if lines else ""


def best_peer(rows: dict[str, dict], precision: str) -> str | None:
    """The fastest peer in a precision."""
    measured = [
        name
        for name, who in CONTESTANTS.items()
        if who.precision == precision and not is_ours(name) and "median_s" in rows.get(name, {})
    ]
    return min(measured, key=lambda name: rows[name]["median_s"], default=None)


def over_best(rows: dict[str, dict], precision: str) -> tuple[float | None, str | None]:
    """minembed's throughput over that of the best peer of the same precision, and that peer."""
    peer = best_peer(rows, precision)
    ratio = rows[peer].get("ratio") if peer and "median_s" in rows.get(OURS[precision], {}) else None
    return ratio, peer


def nearest_peer(rows: dict[str, dict], cosine: float) -> str | None:
    """The fastest peer, in any precision, whose vectors are near enough to the reference's."""
    near = [
        name
        for name, row in rows.items()
        if name in CONTESTANTS and not is_ours(name) and "median_s" in row and row.get("mean_cosine", 0.0) >= cosine
    ]
    return min(near, key=lambda name: rows[name]["median_s"], default=None)


def faster(rows: dict[str, dict], ours: str, peer: str | None, key: str = "median_s") -> float | None:
    """How many times as fast as a peer one of ours is."""
    both = peer is not None and key in rows.get(ours, {}) and key in rows.get(peer, {})
    return rows[peer][key] / rows[ours][key] if both else None


def versions(contestants: dict[str, dict]) -> str:
    """Every library's version."""
    found = {name: version for who in contestants.values() for name, version in who.get("versions", {}).items()}
    return "Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(found.items())) + "."


def share_of_tiles(result: dict, model: dict, rows: dict[str, dict]) -> str:
    """The share of the tile units' peak, over all threads, that bfloat16 reaches, counting only linear layers."""
    peak = (result.get("tile_peaks") or {}).get("bfloat16")
    rate = rows.get(OURS["bfloat16"], {}).get("tokens_per_s")
    if not peak or not rate or "multiply_adds" not in model:
        return ""
    return f"{2 * model['multiply_adds'] * rate / 1e9 / peak / result['settings']['threads']:.0%}"
