"""The report's section on servers, and their targets."""

from statistics import median

from matplotlib.figure import Figure as Plot

from report_common import BUSY, machine, table
from words import SERVE, SERVE_MISSED

OURS = "minembed"
TITLES = {
    OURS: "**minembed**",
    "infinity-optimum": "infinity-emb, ONNX",
    "infinity-torch": "infinity-emb, torch",
    "fastapi-sentence_transformers": "FastAPI, sentence-transformers",
    "fastapi-onnxruntime": "FastAPI, ONNX Runtime, a text at a time",
    "fastapi-onnxruntime_padded": "FastAPI, ONNX Runtime, 64 padded texts at a time",
    "tei": "text-embeddings-inference",
}
SHAPES = {"short": "A short query a request", "batch": "64 texts of mixed lengths a request"}
MOST = 64  # clients, by which the targets go
DISTURBED = 0.10  # share of the machine: clients and server are two processes, whose ends are not seen to the tick


def serve(result: dict, plots: dict[str, Plot]) -> str:
    """Tables of both shapes of requests, of starts, and who was absent."""
    parts = ["## Servers", machine(result), " ".join(SERVE.split()).format(**result["settings"])]
    for shape, title in SHAPES.items():
        rows = [line(result, row, shape) for row in measured(result) if cells_of(row, shape)]
        if rows:
            header = ["", "", "1 client: texts/s", "p50 ms", "8: texts/s", "p50 ms", "64: texts/s", "of `encode`"]
            header += ["p50 ms", "p99 ms", "CPU µs a text", "CPU of `encode`", "generator"]
            parts += [f"{title}:", table(header, rows, left=2)]
    single = [f"{p} {found['single']['p50_ms']:.2f} ms" for p, found in result["offline"].items() if "single" in found]
    if single:
        parts.append(f"One call of `encode` with a short query, the median: {', '.join(single)}.")
    if result.get("starts"):
        parts.append(starts(result["starts"]))
    parts.append(" ".join(SERVE_MISSED.split()))
    if any(cell["others"] > DISTURBED for row in measured(result) for cell in row["cells"]):
        parts.append(BUSY)
    absent = [f"- {name_of(row)}: {row['cells']}" for row in result["found"] if isinstance(row["cells"], str)]
    if absent:
        parts.append("Did not take part:\n\n" + "\n".join(absent))
    told = ", ".join(f"{name} {number}" for name, number in result["versions"].items() if number)
    return "\n\n".join([*parts, f"Versions: {told}."])


def soak(result: dict, plots: dict[str, Plot]) -> str:
    """Memory and latencies of a server at full load, minute by minute."""
    laps, clients = result["laps"], result["clients"]
    count = sum(lap[shape]["requests"] for lap in laps for shape in clients)
    failed = sum(lap[shape]["failed"] for lap in laps for shape in clients)
    text = (
        f"{clients['short']} clients with a short query a request and {clients['batch']} with 64 mixed texts, all at "
        f"once ({result['settings']['precision']}), for {len(laps)} minutes after a warm-up: {count:,} requests, "
        f"{failed} of them failed. Resident memory went from {laps[0]['resident_mb']:.1f} MB to "
        f"{laps[-1]['resident_mb']:.1f} MB, {swing(laps):.1%} apart at most. The 99th percentile of short requests in "
        f"the last quarter is {drift(laps):.2f} times that in the first (medians of minutes). *Others* is the share of "
        "the machine that other work took."
    )
    header = ["minute", "short: requests", "p50 ms", "p99 ms", "64 texts: requests", "p50 ms", "p99 ms"]
    rows = [
        [
            str(lap["minute"]),
            *(f"{lap[shape][key]:.0f}" for shape in ("short", "batch") for key in ("requests", "p50_ms", "p99_ms")),
            f"{lap['resident_mb']:.1f}",
            f"{lap['load_average']:.1f}",
            f"{lap['others']:.0%}",
        ]
        for lap in laps
    ]
    lines = table([*header, "resident MB", "load average", "others"], rows)
    return "\n\n".join(["## A server for a long time", machine(result), text, lines])


def swing(laps: list[dict]) -> float:
    """The span of resident memory over its first size."""
    sizes = [lap["resident_mb"] for lap in laps]
    return (max(sizes) - min(sizes)) / sizes[0]


def drift(laps: list[dict]) -> float:
    """The 99th percentile of short requests in the last quarter over that in the first: medians of minutes."""
    tails, quarter = [lap["short"]["p99_ms"] for lap in laps], max(1, len(laps) // 4)
    return median(tails[-quarter:]) / median(tails[:quarter])


def measured(result: dict) -> list[dict]:
    """The servers that were measured."""
    return [row for row in result.get("found", ()) if isinstance(row["cells"], list)]


def cells_of(row: dict, shape: str) -> dict[int, dict]:
    """The cells of one shape, by number of clients."""
    return {cell["clients"]: cell for cell in row["cells"] if cell["shape"] == shape}


def name_of(row: dict) -> str:
    """A server's name and precision."""
    return f"{TITLES.get(row['server'], row['server'])}, {row['precision']}"


def line(result: dict, row: dict, shape: str) -> list[str]:
    """One server's row of the table of a shape."""
    cells, base = cells_of(row, shape), result["offline"][row["precision"]][shape]
    line = [TITLES.get(row["server"], row["server"]), row["precision"]]
    for clients in (1, 8):
        cell = cells.get(clients)
        line += [f"{cell['texts_per_s']:.0f}", f"{cell['p50_ms']:.1f}"] if cell else ["", ""]
    cell = cells.get(MOST)
    if cell is None:
        return [*line, *[""] * 7]
    of = f"{cell['texts_per_s'] / base['texts_per_s']:.2f}"
    line += [f"**{cell['texts_per_s']:.0f}**", of, f"{cell['p50_ms']:.0f}", f"{cell['p99_ms']:.0f}"]
    return [*line, f"{cell['cpu_us_a_text']:.0f}", f"{base['cpu_us']:.0f}", f"{cell['generator_share']:.1%}"]


def starts(rows: list[dict]) -> str:
    """From the start of a process to its first answer."""
    lines = [[row["what"], f"**{row['median_s']:.2f}**", f"{row['worst_s']:.2f}", str(row["runs"])] for row in rows]
    header = ["From the start of the process to the first vectors over HTTP", "median s", "worst s", "runs"]
    return table(header, lines)


def figures(result: dict) -> list[tuple[str, float | None, str, float, str]]:
    """The targets: what, how much, on which side of what, and how it is written."""
    found: list[tuple[str, float | None, str, float, str]] = []
    for precision, single in (("float32", 0.75), ("bfloat16", 0.6), ("int8", 0.6)):
        for shape, limit in (("batch", 0.8), ("short", single)):
            what = f"server, 64 clients, {shape}, {precision}: rate over that of `encode`"
            found.append((what, over_encode(result, precision, shape), "≥", limit, "{:.2f}"))
        found.append(
            (f"server, {precision}: its own CPU a short request", own_cpu(result, precision), "≤", 200, "{:.0f} µs")
        )
        what = f"server, {precision}: p50 of 1 client, above a single `encode`"
        found.append((what, added(result, precision), "≤", 0.5, "{:.2f} ms"))
        for shape, limit in (("short", 1.5), ("batch", 2.5)):
            what = f"server, 64 clients, {shape}, {precision}: rate over the best peer's"
            found.append((what, over_peers(result, precision, shape), "≥", limit, "{:.2f} x"))
        what = f"server, 64 clients, short, {precision}: p99 over the best peer's"
        found.append((what, tail(result, precision), "≤", 0.7, "{:.2f}"))
    slowest = max((row["median_s"] for row in result.get("starts", ())), default=None)
    return [*found, ("server: start of the process to the first vectors", slowest, "≤", 1.0, "{:.2f} s")]


def at_most(result: dict, precision: str, shape: str, ours: bool) -> list[dict]:
    """The cells of 64 clients: ours, or those of the peers, in one precision."""
    rows = [row for row in measured(result) if row["precision"] == precision and (row["server"] == OURS) is ours]
    return [cells_of(row, shape)[MOST] for row in rows if MOST in cells_of(row, shape)]


def offline(result: dict, precision: str, shape: str, key: str) -> float | None:
    """A figure of offline `encode`."""
    return result.get("offline", {}).get(precision, {}).get(shape, {}).get(key)


def over_encode(result: dict, precision: str, shape: str) -> float | None:
    """Our rate at 64 clients over that of `encode` of the same texts."""
    own, base = at_most(result, precision, shape, True), offline(result, precision, shape, "texts_per_s")
    return own[0]["texts_per_s"] / base if own and base else None


def own_cpu(result: dict, precision: str) -> float | None:
    """Our processor time a short request at 64 clients, less that of `encode` of a text."""
    own, base = at_most(result, precision, "short", True), offline(result, precision, "short", "cpu_us")
    return own[0]["cpu_us_a_text"] - base if own and base else None


def added(result: dict, precision: str) -> float | None:
    """The median of 1 client's short requests, less that of a call of `encode`, in milliseconds."""
    base = offline(result, precision, "single", "p50_ms")
    rows = [row for row in measured(result) if (row["server"], row["precision"]) == (OURS, precision)]
    own = [cells_of(row, "short")[1]["p50_ms"] for row in rows if 1 in cells_of(row, "short")]
    return own[0] - base if own and base else None


def over_peers(result: dict, precision: str, shape: str) -> float | None:
    """Our rate at 64 clients over that of the best peer of the same precision."""
    own, peers = (at_most(result, precision, shape, ours) for ours in (True, False))
    return own[0]["texts_per_s"] / max(cell["texts_per_s"] for cell in peers) if own and peers else None


def tail(result: dict, precision: str) -> float | None:
    """Our 99th percentile at 64 clients with short requests over that of the best peer of the same precision."""
    own, peers = (at_most(result, precision, "short", ours) for ours in (True, False))
    return own[0]["p99_ms"] / min(cell["p99_ms"] for cell in peers) if own and peers else None
