"""The servers that are measured: how each is started, and where it answers."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import machine
from environment import WORK, process_environment
from harness import Absent, Failed

PATIENCE = 240.0  # seconds until a server must answer
INFINITY = WORK / "infinity"  # an environment of its own: it needs optimum < 2 and transformers < 4.49


@dataclass(frozen=True)
class Place:
    """The settings of a server."""

    folder: Path
    work: Path
    threads: int
    port: int


@dataclass(frozen=True)
class Server:
    """A contestant: its name, its precision, and its command."""

    name: str
    precision: str
    command: Callable[[Place], list[str]]
    path: str = "/v1/embeddings"


def ours(precision: str, backend: str = "auto") -> Server:
    """`minembed serve`."""

    def command(place: Place) -> list[str]:
        options = ["--port", str(place.port), "--threads", str(place.threads), "--dtype", precision]
        options += ["--backend", backend]
        return [sys.executable, "-m", "minembed", "serve", f"m={place.folder}", *options, "--access-log", "none"]

    return Server("minembed", precision, command)


def by_hand(kind: str, precision: str) -> Server:
    """FastAPI around a library."""

    def command(place: Place) -> list[str]:
        given = (place.folder, place.work, place.threads, precision, place.port)
        return [sys.executable, str(Path(__file__).with_name("app.py")), kind, *map(str, given)]

    return Server(f"fastapi-{kind}", precision, command)


def infinity(engine: str) -> Server:
    """infinity-emb; its ONNX engine reads a graph that lies in the model's folder."""

    def command(place: Place) -> list[str]:
        program = INFINITY / "bin" / "infinity_emb"
        if not program.exists():
            raise Absent("infinity-emb is not installed: python bench setup-serve")
        folder, command = place.folder, [str(program)]
        if engine == "optimum":
            folder, script = with_graph(place), Path(__file__).with_name("infinity_onnx.py")
            command = [str(program.with_name("python")), str(script)]
        command += ["v2", "--model-id", str(folder), "--served-model-name", "m", "--engine", engine, "--device", "cpu"]
        return [*command, "--port", str(place.port), "--host", "127.0.0.1", "--log-level", "error"]

    return Server(f"infinity-{engine}", "float32", command, "/embeddings")


def with_graph(place: Place) -> Path:
    """A copy of the folder with the graph that torch exports."""
    from peers.onnx_graph import ensure_graph, raw_path

    ensure_graph(place.folder, place.work)
    target = place.work / "infinity-model"
    if not (target / "onnx" / "model.onnx").exists():
        shutil.copytree(place.folder, target, dirs_exist_ok=True)
        (target / "onnx").mkdir(exist_ok=True)
        shutil.copy(raw_path(place.work), target / "onnx" / "model.onnx")
    return target


def tei() -> Server:
    """text-embeddings-inference, where its program is there; no registry has it for CPUs without a container."""

    def command(place: Place) -> list[str]:
        program = shutil.which("text-embeddings-router")
        if program is None:
            raise Absent("text-embeddings-router is not on the path, and no registry of packages has it")
        return [program, "--model-id", str(place.folder), "--port", str(place.port), "--hostname", "127.0.0.1"]

    return Server("tei", "float32", command)


SERVERS = (
    *map(ours, ("float32", "bfloat16", "int8")),
    infinity("optimum"),
    infinity("torch"),
    by_hand("sentence_transformers", "float32"),
    by_hand("sentence_transformers", "bfloat16"),
    by_hand("onnxruntime", "float32"),
    by_hand("onnxruntime", "int8"),
    by_hand("onnxruntime_padded", "float32"),
    by_hand("onnxruntime_padded", "int8"),
    tei(),
)


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@dataclass(frozen=True)
class Running:
    """A running server."""

    pid: int
    port: int
    started: float  # seconds until it answered

    def seconds(self) -> float:
        """Processor time of it and of the processes that it started."""
        return sum(machine.process_seconds(pid) or 0.0 for pid in family(self.pid))


def family(pid: int) -> list[int]:
    """A process and all its descendants (Linux)."""
    found = [pid]
    for one in found:
        for tasks in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in tasks.read_text(encoding="ascii").split()]
    return found


@contextmanager
def running(server: Server, folder: Path, threads: int, answers: Callable[[int], bool]) -> Iterator[Running]:
    """Start a server, wait until it answers, and stop it afterwards; raises Absent or Failed."""
    place = Place(folder, WORK, threads, free_port())
    log = WORK / "logs" / f"serve-{server.name}-{server.precision}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        begin = time.monotonic()
        process = subprocess.Popen(
            server.command(place),
            stdout=output,
            stderr=output,
            cwd=WORK,
            env={**process_environment(threads), "DO_NOT_TRACK": "1"},
            start_new_session=True,
        )
    try:
        while not answers(place.port):
            waited = time.monotonic() - begin
            if process.poll() is not None or waited > PATIENCE:
                raise Failed(f"it does not answer, see bench/.work/logs/{log.name}")
            time.sleep(0.02 if waited < 2 else 0.2)
        yield Running(process.pid, place.port, time.monotonic() - begin)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)  # its own session: it, and what it started
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
