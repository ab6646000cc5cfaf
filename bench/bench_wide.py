"""Throughput of wider encoders, with the shapes of BERT-base and BERT-large, on texts with exact numbers of tokens.

Their weights are random (see wide_models): speed and rounding are measured, not what the vectors mean. Nobody pads,
since all texts of a cell are as long.
"""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import wide_models
from bench_encode import COUNTER, TABLE, contest, enter, tile_peaks, unable, wanted
from bench_growth import exact
from environment import WORK
from harness import Model, Unavailable, Worker, earlier, record
from heats import choose, known
from peers import OURS, Contestant
from peers.folder import describe, resolve
from wide_models import FUSED, SHAPES, Shape
from workloads import Workload

TOKENS = {768: 2048, 1024: 1024}  # per cell, for every length of texts
NAMES = (*OURS.values(), "openvino-float32", "openvino-bfloat16", "onnxruntime-float32", COUNTER)
SLOW = "onnxruntime-float32"  # runs only at the narrower width
MODULES = ("wide_models", "peers.minembed_numba")  # that have something to convert


def run(options: Namespace) -> int:
    """Measure and write results/wide.json; returns 1 if minembed itself is missing or wrong."""
    lender = resolve(options.model)
    before = earlier("wide", options.out, options.threads) if options.same_settings else {}
    contestants, models, described, results = {}, {}, {}, {}
    for width in options.widths:
        shape = SHAPES[width]
        model = made(shape, lender)
        models[shape.title] = describe(model.folder)
        status = {name: contestants.setdefault(name, {"title": TABLE[name].title}) for name in names(width, options)}
        for length in options.lengths:
            work = workload(shape, model, length, options.fraction)
            described[work.name], results[work.name] = cell(work, length, model, status, before, options)
    settings = {name: getattr(options, name) for name in ("threads", "laps", "heats")} | {"settle_s": options.settle}
    found = {"models": models, "tile_peaks": tile_peaks(), "contestants": contestants}
    record("wide", settings, found | {"workloads": described, "results": results}, options.out)
    entered = [name for name in OURS.values() if name in contestants]
    return 0 if all("median_s" in rows.get(name, {}) for name in entered for rows in results.values()) else 1


def names(width: int, options: Namespace) -> list[str]:
    """The contestants for encoders of a width."""
    slow = width in FUSED and not options.closest
    return [name for name in NAMES if wanted(name, options) and (slow or name != SLOW)]


def made(shape: Shape, lender: Path) -> Model:
    """The checkpoint and its conversions, made unless they are there."""
    folder = WORK / "wide" / shape.title
    print(f"{shape.title}: {shape.layers} layers, {shape.width} wide; made the first time: minutes", flush=True)
    wide_models.ensure_checkpoint(shape, lender, folder)
    model = Model(folder, WORK / "wide" / f"{shape.title}-converted")
    for module in MODULES:
        worker = Worker(f"prepare-{shape.title}-{module.rpartition('.')[2]}", threads=2)
        try:
            worker.ask("prepare", module, str(model.folder), str(model.work))
        except Unavailable as error:  # the contestants that need it report that it is missing
            print(f"{shape.title}: {error}", flush=True)
        finally:
            worker.close()
    return model


def workload(shape: Shape, model: Model, length: int, fraction: float) -> Workload:
    """Texts with an exact number of tokens, all different."""
    count = max(2, round(TOKENS[shape.width] * min(fraction, 1.0)) // length)
    return Workload(f"{shape.title}, {length} tokens", tuple(exact(model.folder, length, count)))


def entrant(who: Contestant, length: int, count: int) -> Contestant:
    """A contestant with the settings that suit texts of one length: half of them go together, which two streams need.

    bfloat16, which decides the target, tries other batches too.
    """
    if not who.pads:
        return who
    half = max(1, count // 2)
    batches = (half,) if who.precision == "float32" else tuple(dict.fromkeys((half, count, max(1, half // 2))))
    return replace(who, batches=batches)


def cell(
    work: Workload, length: int, model: Model, status: dict, before: dict, options: Namespace
) -> tuple[dict, dict]:
    """One shape and length: heats, check, race; its description and its rows."""
    able = [name for name in status if not unable(status[name])]
    heats = {}
    for name in able:
        who = entrant(TABLE[name], length, len(work.texts))
        heats[name] = known(name, work.name, before) or choose(who, name, work, model, options)
    workers = enter({name: heat["setting"] for name, heat in heats.items()}, status, model, options.threads)
    try:
        about, rows = contest(work, workers, options)
    finally:
        for worker in workers.values():
            worker.close()
    return about | {"length": length}, {name: row | heats[name] for name, row in rows.items()}
