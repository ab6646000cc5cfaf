"""The project's targets, and what was measured."""

from typing import NamedTuple

import report_serve
from generations import tiled
from peers import ARRIVAL, NATIVE, NUMPY, OURS, PRECISIONS
from report_common import (
    BUSY,
    TITLES,
    Generations,
    best_peer,
    by_date,
    faster,
    generation,
    nearest_peer,
    noisy,
    over_best,
    revision,
    table,
)

# ratio to the best peer of the same precision, by workload: float32, bfloat16, int8
SPEED = {
    "short": (1.2, 1.2, 1.4),
    "mixed": (1.35, 1.3, 1.7),
    "long": (1.15, 1.05, 1.25),
    "arrival": (2.0, 2.0, 2.5),
    "single": (1.2, 1.3, 1.3),
}
# The same where there are tile units: bfloat16 over whoever is as near, bfloat16 over int8 peers, float32.
TILED_SPEED = {
    "short": (1.8, 2.0, 1.4),
    "mixed": (2.0, 2.0, 1.3),
    "long": (2.0, 1.9, 1.2),
    "arrival": (4.0, 4.0, 2.5),
    "single": (2.0, 1.3, 1.5),
}
TILED_WIDE = {"BERT-base, 128 tokens": 1.4, "BERT-large, 128 tokens": 1.3}  # bfloat16 over whoever is as near
AS_NEAR = 0.9999  # mean cosine to float32


class Figure(NamedTuple):
    """One target: what, in which benchmark, how much, and how it is written."""

    what: str
    benchmark: str
    value: float | None
    sign: str
    limit: float
    form: str


def targets(generations: Generations, results: dict[str, dict]) -> str:
    """The section: speed over the best peer for each generation, and everything else for the last one measured."""
    rows = [
        [
            figure.what,
            "not measured" if figure.value is None else figure.form.format(figure.value),
            f"{figure.sign} {figure.form.format(figure.limit)}",
            verdict(figure.value, figure.sign, figure.limit),
            on,
        ]
        for figure, on in known_figures(generations)
    ]
    speeds = [speed_section(found) for found in by_date(generations, "encode")]
    return "\n\n".join(
        [
            "## Targets",
            "Speed divided by that of the fastest peer, in that peer's best setting:",
            *(speeds or [table(["", *PRECISIONS], speed_rows({}))]),
            "Other targets:",
            table(["", "measured", "target", "", "on"], rows, left=1) + warning(results),
        ]
    )


def warning(results: dict[str, dict]) -> str:
    """Whether others used the machine during the runs that the figures are from."""
    cold = results.get("coldstart", {}).get("contestants", {})
    encode = results.get("encode", {}).get("results", {}).values()
    return f"\n\n{BUSY}" if any(noisy(rows) for rows in [*encode, cold]) else ""


def speed_section(results: dict[str, dict]) -> str:
    """One generation's table of ratios, under its name."""
    encode = results["encode"]
    on, wide = encode["machine"], results.get("wide", {}).get("results", {})
    head = f"**{generation(encode)}** ({on['cpu']}; {encode['date'][:10]}, revision {revision(encode)}):"
    if tiled(on):
        near, int8 = f"bfloat16 over the best at cosine ≥ {AS_NEAR}", "bfloat16 over the best in int8"
        return f"{head}\n\n{table(['', near, int8, 'float32'], tiled_rows(encode['results'], wide))}"
    return f"{head}\n\n{table(['', *PRECISIONS], speed_rows(encode['results']))}"


def speed_rows(encode: dict[str, dict]) -> list[list[str]]:
    """Ratios to the best peer of the same precision: a row a workload, a column a precision."""
    return [
        [
            workload,
            *(
                judged(*over_best(encode.get(workload, {}), precision), limit)
                for precision, limit in zip(PRECISIONS, limits, strict=True)
            ),
        ]
        for workload, limits in SPEED.items()
    ]


def tiled_rows(encode: dict[str, dict], wide: dict[str, dict]) -> list[list[str]]:
    """Where there are tile units: a row a workload and a wide encoder."""
    lines = [
        [
            workload,
            *(judged(value, peer, limit) for value, peer, limit in tiled_ratios(encode.get(workload, {}), limits)),
        ]
        for workload, limits in TILED_SPEED.items()
    ]
    for workload, limit in TILED_WIDE.items():
        (value, peer, _), *_ = tiled_ratios(wide.get(workload, {}), (limit, 0.0, 0.0))
        lines.append([workload, judged(value, peer, limit), "", ""])
    return lines


def tiled_ratios(
    rows: dict[str, dict], limits: tuple[float, float, float]
) -> list[tuple[float | None, str | None, float]]:
    """Ratio, peer and limit: bfloat16 over the best that is as near, over the best in int8, and float32."""
    peers = nearest_peer(rows, AS_NEAR), best_peer(rows, "int8"), best_peer(rows, "float32")
    ours = OURS["bfloat16"], OURS["bfloat16"], OURS["float32"]
    return [(faster(rows, who, peer), peer, limit) for who, peer, limit in zip(ours, peers, limits, strict=True)]


def judged(value: float | None, peer: str | None, limit: float) -> str:
    """A ratio beside its limit."""
    if value is None:
        return f"not measured (≥ {limit})"
    over = f" over {TITLES[peer].partition(',')[0]}" if peer else ""
    return f"{value:.2f} (≥ {limit}){over}: {verdict(value, '≥', limit)}"


def verdict(value: float | None, sign: str, limit: float) -> str:
    """Whether a figure is on the right side of its limit."""
    if value is None:
        return ""
    return "met" if (value <= limit if sign == "≤" else value >= limit) else "**missed**"


def known_figures(generations: Generations) -> list[tuple[Figure, str]]:
    """Each other target, from the last measured generation that has it, and the name of that."""
    first: dict[str, tuple[Figure, str]] = {figure.what: (figure, "") for figure in figures({})}
    for what, (figure, _) in first.items():
        for results in by_date(generations, figure.benchmark):
            found = next(one for one in figures(results) if one.what == what)
            if found.value is not None:
                first[what] = found, generation(results[figure.benchmark])
                break
    return list(first.values())


def figures(results: dict[str, dict]) -> list[Figure]:
    """Each other target."""
    encode = results.get("encode", {}).get("results", {})
    return [
        *fidelity(encode.get("short", {})),
        *kernels(results.get("kernels", {}).get("linear", {})),
        *memory(encode, results.get("coldstart", {})),
        *numpy_tier(encode, results),
        *(Figure(what, "serve", *rest) for what, *rest in report_serve.figures(results.get("serve", {}))),
    ]


def fidelity(rows: dict[str, dict]) -> list[Figure]:
    """How near the vectors are to the reference's, on the short texts."""

    def of(precision: str, key: str) -> float | None:
        return rows.get(OURS[precision], {}).get(key)

    def apart(precision: str) -> float | None:
        reference, rounded = of("float32", "spearman"), of(precision, "spearman")
        return None if reference is None or rounded is None else abs(reference - rounded)

    limits = (
        ("float32: largest difference of a component", of("float32", "max_abs_diff"), "≤", 2e-6, "{:.1e}"),
        ("float32: minimum cosine", of("float32", "min_cosine"), "≥", 0.999999, "{:.6f}"),
        ("bfloat16: mean cosine", of("bfloat16", "mean_cosine"), "≥", 0.99995, "{:.6f}"),
        ("bfloat16: minimum cosine", of("bfloat16", "min_cosine"), "≥", 0.9999, "{:.5f}"),
        ("bfloat16: STS-B Spearman x 100, distance to float32's", apart("bfloat16"), "≤", 0.02, "{:.3f}"),
        ("int8: mean cosine", of("int8", "mean_cosine"), "≥", 0.999, "{:.5f}"),
        ("int8: minimum cosine", of("int8", "min_cosine"), "≥", 0.995, "{:.4f}"),
        ("int8: STS-B Spearman x 100, distance to float32's", apart("int8"), "≤", 0.1, "{:.2f}"),
    )
    return [Figure(what, "encode", *rest) for what, *rest in limits]


def kernels(linear: dict[str, dict]) -> list[Figure]:
    """The linear layers' share of the hardware's peak; of the row counts measured, the worse counts."""

    def share(dtype: str) -> float | None:
        shares = linear.get(dtype, {}).get("shares", {})
        return min((value for name, value in shares.items() if name.isdigit()), default=None)

    limits = (("float32", 0.85), ("int8", 0.75))
    what = "linear layers' share of peak"
    return [Figure(f"{dtype}: {what}", "kernels", share(dtype), "≥", limit, "{:.1%}") for dtype, limit in limits]


def memory(encode: dict[str, dict], cold: dict) -> list[Figure]:
    """Start and memory of the kernels."""
    starts = cold.get("contestants", {})
    slowest = max(
        (starts[name]["median_s"] for name in OURS.values() if "median_s" in starts.get(name, {})), default=None
    )
    peaks = [rows[OURS["int8"]].get("peak_mb") for rows in encode.values() if OURS["int8"] in rows]
    small, bare = starts.get(OURS["int8"], {}).get("peak_mb"), cold.get("numba_mb")
    added = small - bare if small and bare else None

    def over_onnxruntime(precision: str) -> float | None:
        pair = [starts.get(name, {}).get("median_s") for name in (NATIVE[precision], f"onnxruntime-{precision}")]
        return pair[0] / pair[1] if all(pair) else None

    first = "native: start of the process to the first vector, over ONNX Runtime's, {}"
    native_peak = starts.get(NATIVE["int8"], {}).get("peak_mb")
    return [
        Figure(first.format("float32"), "coldstart", over_onnxruntime("float32"), "≤", 1.0, "{:.2f}"),
        Figure(first.format("int8"), "coldstart", over_onnxruntime("int8"), "≤", 1.2, "{:.2f}"),
        Figure("native, int8: peak memory at the first vector", "coldstart", native_peak, "≤", 95, "{:.0f} MB"),
        Figure(
            "kernels, compiled before: start of the process to the first vector",
            "coldstart",
            slowest,
            "≤",
            1.3,
            "{:.2f} s",
        ),
        Figure("int8: memory above NumPy and Numba at the first vector", "coldstart", added, "≤", 60, "{:.0f} MB"),
        Figure(
            "int8: peak memory on any workload", "encode", max(filter(None, peaks), default=None), "≤", 260, "{:.0f} MB"
        ),
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
        Figure(
            "NumPy tier: mixed texts, over ONNX Runtime float32",
            "encode",
            over_onnxruntime("mixed"),
            "≥",
            0.9,
            "{:.2f} x",
        ),
        Figure("NumPy tier: the same in arrival order", "encode", over_onnxruntime(ARRIVAL), "≥", 1.3, "{:.2f} x"),
        Figure(
            "NumPy tier: start of the process to the first vector",
            "coldstart",
            ours.get("median_s"),
            "≤",
            0.45,
            "{:.2f} s",
        ),
        Figure(
            "NumPy tier: peak memory of that process over ONNX Runtime's", "coldstart", share, "≤", 0.85, "{:.2f} x"
        ),
        Figure("`import minembed` over `import numpy`", "coldstart", ratio, "≤", 1.3, "{:.2f} x"),
        Figure("memory above the loaded model while texts stream by", "stream", extra, "≤", 100, "{:.0f} MB"),
    ]
