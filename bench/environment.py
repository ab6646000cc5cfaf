"""The peers' own Python environment, and the process environment that every measured process gets.

Standard library only: it runs before anything is installed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
WORK = BENCH / ".work"  # git-ignored: the environment, the exported graph, the logs
VENV = WORK / "venv"
REQUIREMENTS = BENCH / "peers.txt"
SERVED = ("fastapi", "uvicorn", "httptools", "uvloop", "orjson")  # the servers by hand
INFINITY = (
    "infinity-emb[optimum,server]==0.0.78",
    "optimum<1.25",  # later ones look for a graph by another name than infinity-emb gives
    "sentence-transformers<4",
    "transformers<4.49",
    "click<8.2",
    "datasets<4",  # later ones need a pyarrow that needs NumPy 2
    "pyarrow<20",
)
PYTHON_VARIABLE = "MINEMBED_BENCH_PYTHON"


def venv_python() -> Path:
    """The interpreter of the peers' environment, whether or not it exists yet."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def requirements() -> list[str]:
    """The pinned peers, one requirement each."""
    lines = (line.strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pip(*arguments: str) -> bool:
    """Run pip in the peers' environment; whether it succeeded."""
    command = [str(venv_python()), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments]
    return subprocess.run(command, cwd=WORK, check=False).returncode == 0


def make() -> int:
    """Create or refresh bench/.work/venv: minembed with its kernels, then each peer that can be installed."""
    if not venv_python().exists():
        print(f"creating {VENV.relative_to(ROOT)}", flush=True)
        venv.create(VENV, with_pip=True)
    print("installing minembed from this checkout", flush=True)
    if not pip(f"{copy_sources()}[numba]"):
        print("minembed itself could not be installed, see pip's message above", file=sys.stderr)
        return 1
    command = [str(venv_python()), "-m", "minembed.kernels.ahead"]
    if subprocess.run(command, cwd=WORK, env=process_environment(1), stdout=subprocess.DEVNULL, check=False).returncode:
        print("the native kernels could not be compiled, see above: they take no part", file=sys.stderr)
    return install_peers()


def make_serve() -> int:
    """Install the other servers: FastAPI beside the peers, infinity-emb in an environment of its own."""
    code = make()
    if code or not pip(*SERVED, "minembed[serve] @ file://" + str(copy_sources())):
        return code or 1
    program = WORK / "infinity" / "bin" / "python"
    if not program.exists():
        venv.create(program.parents[1], with_pip=True)
    torch = [line for line in requirements() if line.startswith("torch==")]  # the one for CPUs, as for the other peers
    command = [str(program), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *torch, *INFINITY]
    if subprocess.run(command, cwd=WORK, check=False).returncode:
        print("absent, could not be installed: infinity-emb", flush=True)
    return 0


def copy_sources() -> Path:
    """A copy of the packaged files, so that building leaves no files in the checkout and uses no old ones.

    An editable install would add an import hook to every start of Python, which the cold start would pay for.
    """
    target = WORK / "source"
    shutil.rmtree(target, ignore_errors=True)
    kept_out = shutil.ignore_patterns(".*", "bench", "tests", "docs", "build", "dist", "*.egg-info", "__pycache__")
    return Path(shutil.copytree(ROOT, target, ignore=kept_out))


def install_peers() -> int:
    """Install peers.txt together, or line by line if one fails; done again only if the file changes."""
    stamp = VENV / "peers.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return 0
    print("installing the peers: a few minutes the first time", flush=True)
    if not pip("-r", str(REQUIREMENTS)):
        missing = [line for line in requirements() if not pip(line)]
        print("absent, could not be installed:", ", ".join(missing) or "none", flush=True)
        if missing:
            return 0  # no stamp: the next run tries again
    stamp.write_text(wanted, encoding="ascii")
    return 0


def process_environment(threads: int) -> dict[str, str]:
    """The variables a measured process starts with: this process's own, the same thread count for every library.

    PYTHONSAFEPATH keeps the working directory off the import path; the folder `kernels/` at the root of the
    repository has the name of a package that transformers looks for.
    """
    count = str(threads)
    pools = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "RAYON_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    )
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSTARTUP")}
    return {
        **kept,
        **dict.fromkeys(pools, count),
        **dict.fromkeys(offline, "1"),
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONSAFEPATH": "1",
        "PYTHONIOENCODING": "utf-8",
    }
