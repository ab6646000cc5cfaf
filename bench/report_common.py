"""What the sections of the report share: names, tables, where it was measured, who was missing."""

from peers import CONTESTANTS, NUMPY, OURS

COUNTER = "tokenizers"
TITLES = {name: who.title for name, who in CONTESTANTS.items()} | {COUNTER: "tokenising alone"}
FAMILIES = ("minembed", "onnxruntime", "openvino", "ctranslate2", "sentence-transformers")  # in their colours' order
NOISY = 0.05  # a lap during which others used more than this share of the machine is not to be trusted
BUSY = "**The machine was in use by others while this was measured: do not rely on it, measure again.**"


def colour(name: str) -> int:
    """A contestant's colour: that of its family."""
    return next(number for number, family in enumerate(FAMILIES) if name.startswith(family))


def is_ours(name: str) -> bool:
    """Whether a contestant is minembed."""
    return name == NUMPY or name in OURS.values()


def table(header: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table, its first columns left-aligned, the others right-aligned."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def noisy(rows: dict[str, dict]) -> list[str]:
    """The contestants during whose runs others used the machine."""
    return [TITLES[who] for who, row in rows.items() if (row.get("disturbance") or 0) > NOISY and who != COUNTER]


def machine(result: dict, pools: list[dict] | None = None) -> str:
    """Where, when and on what, in one paragraph."""
    on, commit = result["machine"], result["commit"]
    revision = (commit["id"] or "unknown")[:10] + (" with uncommitted changes" if commit["changed"] else "")
    blas = [pool for pool in pools or () if pool.get("user_api") == "blas"]
    kernel = "; ".join(f"{p['internal_api']} {p.get('version', '')}, kernel {p.get('architecture', '?')}" for p in blas)
    return (
        f"{on['cpu']}; {on['usable_cores']} of {on['cores']} cores, {on['memory_gb']} GB; "
        f"{on['system']}; {on['python']}"
        + (f"; NumPy's BLAS: {kernel}" if kernel else "")
        + f". Threads: {result['settings']['threads']}. {result['date']}, revision {revision}."
    )


def missing(contestants: dict[str, dict]) -> str:
    """Those that took no part, and why; empty where all did."""
    lines = [
        f"- {TITLES.get(name, name)}: {kind}, {who[kind]}"
        for name, who in contestants.items()
        for kind in ("absent", "failed", "refused")
        if kind in who
    ]
    return "Took no part:\n\n" + "\n".join(lines) if lines else ""


def best_peer(rows: dict[str, dict], precision: str) -> str | None:
    """The fastest of the others in a precision."""
    measured = [
        name
        for name, who in CONTESTANTS.items()
        if who.precision == precision and not is_ours(name) and "median_s" in rows.get(name, {})
    ]
    return min(measured, key=lambda name: rows[name]["median_s"], default=None)


def versions(contestants: dict[str, dict]) -> str:
    """Every library's version."""
    found = {name: version for who in contestants.values() for name, version in who.get("versions", {}).items()}
    return "Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(found.items())) + "."
