"""The kernels alone, on one core: how near the linear layers come to the hardware's peak; and attention.

A product uses as many different weights as the model has layers, in turn, so that they come from the same cache level.
"""

from argparse import Namespace

from harness import Unavailable, Worker, record

ROWS = (200, 37)  # a full chunk, and one whose rows are not a multiple of a tile
SHAPES = {"qkv": (384, 1152), "attention output": (384, 384), "intermediate": (384, 1536), "output": (1536, 384)}
LAYERS, HEADS, WIDTH = 6, 12, 384  # of all-MiniLM-L6-v2
LENGTHS = (16, 64, 128, 256)
TOKENS = 1024  # for the time of attention


def run(options: Namespace) -> int:
    """Measure and write results/kernels.json; returns 1 if the kernels cannot run."""
    worker = Worker("kernels", threads=1)
    try:
        found = worker.ask("measure", "bench_kernels")
    except Unavailable as error:
        print(f"kernels: {error}", flush=True)
        return 1
    finally:
        worker.close()
    for dtype, row in found["linear"].items():
        print(f"{dtype:10} peak {found['peaks'][dtype]['peak']:7.1f}", row["shares"], flush=True)
    print("tile units:", found["tile_peaks"] or "none", flush=True)
    record("kernels", {"threads": 1}, found, options.out)
    return 0


def measure() -> dict:
    """Peaks, linear layers and attention, in the order of their sections."""
    import probe
    import probe_tiles
    import products
    from minembed.kernels.vectors.target import TARGET

    peaks = probe.peaks()
    return {
        "target": TARGET.describe(),
        "tile": list(TARGET.tile),
        "peaks": peaks,
        "tile_peaks": probe_tiles.measure(),
        "linear": {dtype: linear(dtype, peaks[dtype]["peak"]) for dtype in peaks},
        "attention": {
            dtype: {str(length): products.attention(dtype, length, TOKENS, WIDTH, HEADS) for length in LENGTHS}
            for dtype in peaks
        },
    }


def linear(dtype: str, peak: float) -> dict:
    """Each of the four products: billions of operations per second alone, and with the encoding of its input."""
    import products

    rows_of, shares = [], {}
    for rows in ROWS:
        operations, alone, together = 0.0, 0.0, 0.0
        for name, (width, out_width) in SHAPES.items():
            product, encoded = products.seconds(dtype, rows, width, out_width, LAYERS)
            count = 2 * rows * width * out_width
            operations, alone, together = operations + count, alone + product, together + encoded
            rates = {"rate": round(count / product / 1e9, 1), "rate_with_encoding": round(count / encoded / 1e9, 1)}
            rows_of.append({"rows": rows, "product": name, "shape": [width, out_width], **rates})
        shares[str(rows)] = round(operations / alone / 1e9 / peak, 3)
        shares[f"{rows} with encoding"] = round(operations / together / 1e9 / peak, 3)
    return {"products": rows_of, "shares": shares}
