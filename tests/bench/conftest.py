"""The bench's own modules, for its tests."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from places import ROOT

BENCH = ROOT / "bench"
MODULES = (
    "bench_encode", "bench_serve", "bench_soak", "bench_wide",
    "calibration", "environment", "generations", "harness", "heats", "machine", "memory",
    "plots", "probe_tiles", "report", "report_common", "report_encode", "report_serve", "report_targets", "wide_models",
    "worker", "workloads", "peers", "peers.folder", "peers.onnx_graph", "peers.openvino_graph", "peers.openvino_shapes",
    "peers.pipeline", "peers.prepared",
)  # fmt: skip


@pytest.fixture(scope="module")
def bench():
    """The modules of bench/, which is no package: its folder (not the repository's root) is on the path meanwhile."""
    sys.path.insert(0, str(BENCH))
    try:
        yield SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(BENCH))
        for name, module in list(sys.modules.items()):
            if BENCH in Path(getattr(module, "__file__", None) or "/").parents:
                del sys.modules[name]
