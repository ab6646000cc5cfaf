"""What the project asks of itself, and what was measured."""

from peers import ARRIVAL, NUMPY, OURS, PRECISIONS
from report_common import BUSY, TITLES, best_peer, noisy, table

# ratio to the best peer of the same precision, by workload: float32, bfloat16, int8
SPEED = {
    "short": (1.2, 1.2, 1.4),
    "mixed": (1.35, 1.3, 1.7),
    "long": (1.15, 1.05, 1.25),
    "arrival": (2.0, 2.0, 2.5),
    "single": (1.2, 1.3, 1.3),
}
Figure = tuple[str, float | None, str, float, str]  # what, measured, sign, limit, how it is written


def targets(results: dict[str, dict]) -> str:
    """The section: speed over the best peer, and everything else."""
    rows = [
        [
            what,
            "not measured" if value is None else form.format(value),
            f"{sign} {form.format(limit)}",
            verdict(*judged),
        ]
        for what, value, sign, limit, form in figures(results)
        if (judged := (value, sign, limit))
    ]
    warning = f"\n\n{BUSY}" if any(noisy(rows) for rows in timings(results)) else ""
    return "\n\n".join(
        [
            "## Targets",
            "Speed over the fastest peer of the same precision, in the setting that suits that peer best:",
            speed(results.get("encode", {}).get("results", {})),
            "And the rest:",
            table(["", "measured", "target", ""], rows) + warning,
        ]
    )


def timings(results: dict[str, dict]) -> list[dict[str, dict]]:
    """Every table of timed contestants."""
    cold = results.get("coldstart", {}).get("contestants", {})
    return [*results.get("encode", {}).get("results", {}).values(), cold]


def verdict(value: float | None, sign: str, limit: float) -> str:
    """Whether a figure is on the right side of its limit."""
    if value is None:
        return ""
    return "held" if (value <= limit if sign == "≤" else value >= limit) else "**missed**"


def speed(encode: dict[str, dict]) -> str:
    """The table of ratios: a row a workload, a column a precision."""
    lines = []
    for workload, limits in SPEED.items():
        cells = []
        for precision, limit in zip(PRECISIONS, limits, strict=True):
            value, peer = over_best(encode.get(workload, {}), precision)
            over = f" over {TITLES[peer].partition(',')[0]}" if peer else ""
            cells.append(
                f"not measured (≥ {limit})"
                if value is None
                else f"{value:.2f} (≥ {limit}){over}: {verdict(value, '≥', limit)}"
            )
        lines.append([workload, *cells])
    return table(["", *PRECISIONS], lines)


def over_best(rows: dict[str, dict], precision: str) -> tuple[float | None, str | None]:
    """minembed's throughput over that of the best peer, and who that is."""
    peer = best_peer(rows, precision)
    measured = peer is not None and "median_s" in rows.get(OURS[precision], {})
    return (rows[peer]["ratio"], peer) if measured else (None, peer)


def figures(results: dict[str, dict]) -> list[Figure]:
    """Each other target."""
    encode = results.get("encode", {}).get("results", {})
    return [
        *fidelity(encode.get("short", {})),
        *kernels(results.get("kernels", {}).get("linear", {})),
        *memory(encode, results.get("coldstart", {})),
        *numpy_tier(encode, results),
    ]


def fidelity(rows: dict[str, dict]) -> list[Figure]:
    """How near the vectors are to the reference's, on the short texts."""

    def of(precision: str, key: str) -> float | None:
        return rows.get(OURS[precision], {}).get(key)

    found: list[Figure] = [
        ("float32: largest difference of a component", of("float32", "max_abs_diff"), "≤", 2e-6, "{:.1e}"),
        ("float32: minimum cosine", of("float32", "min_cosine"), "≥", 0.999999, "{:.6f}"),
        ("bfloat16: mean cosine", of("bfloat16", "mean_cosine"), "≥", 0.9999, "{:.5f}"),
        ("int8: mean cosine", of("int8", "mean_cosine"), "≥", 0.999, "{:.5f}"),
        ("int8: minimum cosine", of("int8", "min_cosine"), "≥", 0.995, "{:.4f}"),
    ]
    reference, ours = of("float32", "spearman"), of("int8", "spearman")
    apart = None if reference is None or ours is None else abs(reference - ours)
    return [*found, ("int8: STS-B Spearman x 100, distance to float32's", apart, "≤", 0.1, "{:.2f}")]


def kernels(linear: dict[str, dict]) -> list[Figure]:
    """The linear layers' share of the hardware's peak; of the row counts measured, the worse counts."""

    def share(dtype: str) -> float | None:
        shares = linear.get(dtype, {}).get("shares", {})
        return min((value for name, value in shares.items() if name.isdigit()), default=None)

    limits = (("float32", 0.85), ("int8", 0.75))
    return [(f"{dtype}: linear layers' share of peak", share(dtype), "≥", limit, "{:.1%}") for dtype, limit in limits]


def memory(encode: dict[str, dict], cold: dict) -> list[Figure]:
    """Start and memory of the kernels."""
    starts = cold.get("contestants", {})
    slowest = max(
        (starts[name]["median_s"] for name in OURS.values() if "median_s" in starts.get(name, {})), default=None
    )
    peaks = [rows[OURS["int8"]].get("peak_mb") for rows in encode.values() if OURS["int8"] in rows]
    small, bare = starts.get(OURS["int8"], {}).get("peak_mb"), cold.get("numba_mb")
    added = small - bare if small and bare else None
    return [
        ("kernels, compiled before: start of the process to the first vector", slowest, "≤", 1.3, "{:.2f} s"),
        ("int8: memory above NumPy and Numba at the first vector", added, "≤", 60, "{:.0f} MB"),
        ("int8: peak memory on any workload", max(filter(None, peaks), default=None), "≤", 260, "{:.0f} MB"),
    ]


def numpy_tier(encode: dict[str, dict], results: dict[str, dict]) -> list[Figure]:
    """What the NumPy tier promises."""

    def over_onnxruntime(workload: str) -> float | None:
        rows = encode.get(workload, {})
        ours, peer = rows.get(NUMPY, {}).get("median_s"), rows.get("onnxruntime-float32", {}).get("median_s")
        return peer / ours if ours and peer else None

    cold, run = results.get("coldstart", {}), results.get("stream", {})
    starts = cold.get("contestants", {})
    ours, peer = starts.get(NUMPY, {}), starts.get("onnxruntime-float32", {})
    share = ours["peak_mb"] / peer["peak_mb"] if ours.get("peak_mb") and peer.get("peak_mb") else None
    extra = run["peak_mb"] - run["loaded_mb"] if run.get("peak_mb") and run.get("loaded_mb") else None
    ratio = (cold.get("imports") or {}).get("ratio")
    return [
        ("NumPy tier: mixed texts, over ONNX Runtime float32", over_onnxruntime("mixed"), "≥", 0.9, "{:.2f} x"),
        ("NumPy tier: the same in arrival order", over_onnxruntime(ARRIVAL), "≥", 1.3, "{:.2f} x"),
        ("NumPy tier: start of the process to the first vector", ours.get("median_s"), "≤", 0.45, "{:.2f} s"),
        ("NumPy tier: peak memory of that process over ONNX Runtime's", share, "≤", 0.85, "{:.2f} x"),
        ("`import minembed` over `import numpy`", ratio, "≤", 1.3, "{:.2f} x"),
        ("memory above the loaded model while texts stream by", extra, "≤", 100, "{:.0f} MB"),
    ]
