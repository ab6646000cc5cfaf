"""A computer of another kind, for tests: Debian's Python for ARM of 64 bits in a folder, and QEMU to run it.

    python arm_machine.py FOLDER      make it, with what minembed rests on, and with its wheel from FOLDER/dist

Nothing is installed on this machine.  The packages come from the sources of its own apt-get and pip.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

WANTED = {"qemu-aarch64-static": "qemu-user-static", "apt-get": "apt", "dpkg": "dpkg"}  # command: Debian package
PACKAGES = ("python3", "libstdc++6")
WHEELS = ("numpy", "tokenizers", "safetensors", "threadpoolctl", "filelock", "platformdirs", "click", "tqdm")
NUMBA = ("numba", "llvmlite")
GLIBC = (17, 27, 28)  # of the wheels that are taken: Debian's is younger than all of them


class ArmMachine:
    """The paths of its parts, and how to run Python on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.root, self.site, self.own = (self.folder / name for name in ("root", "site", "own"))

    def run(self, cpu: str, *arguments: str | Path, **environment: str) -> str:
        """The output of Python on a CPU that QEMU emulates by its name; every warning is an error."""
        python = str(next((self.root / "usr" / "bin").glob("python3.*[0-9]")))
        emulated = ["qemu-aarch64-static", "-cpu", cpu, "-L", str(self.root)]
        command = [*emulated, python, "-W", "error", *map(str, arguments)]
        support = Path(__file__).parent
        places = os.pathsep.join(map(str, (self.own, self.site, support)))
        environment = os.environ | {"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"} | environment
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.folder)
        assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-3000:]}"
        return done.stdout

    def python_version(self) -> str:
        """Of its Python: "3.11"."""
        return next((self.root / "usr" / "bin").glob("python3.*[0-9]")).name.removeprefix("python")


def missing() -> str:
    """The missing programs, as a sentence; "" if none is missing."""
    packages = [package for command, package in WANTED.items() if not shutil.which(command)]
    return f"install {', '.join(packages)} first: apt-get install {' '.join(packages)}" if packages else ""


def unpack_python(machine: ArmMachine) -> None:
    """Download Python and its dependencies with apt-get, with lists and a state of its own, and unpack them."""
    apt = machine.folder / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    settings = {
        **{"APT::Architecture": "arm64", "APT::Architectures": "arm64", "APT::Install-Recommends": "false"},
        **{"Dir::State": apt / "state", "Dir::Cache": apt / "cache", "Dir::State::status": apt / "status"},
        **{"Debug::NoLocking": "1", "APT::Sandbox::User": ""},
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    subprocess.run(["apt-get", *options, "-qq", "update"], check=True)
    download = ["-qq", "--yes", "--download-only", "install", *PACKAGES]
    subprocess.run(["apt-get", *options, *download], check=True, stdout=subprocess.DEVNULL)
    for package in (apt / "cache" / "archives").glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, machine.root], check=True)


def install_wheels(machine: ArmMachine, names: tuple[str, ...]) -> None:
    """The wheels of the dependencies for that machine and its Python."""
    platforms = [f"--platform=manylinux_2_{version}_aarch64" for version in GLIBC]
    python = f"--python-version={machine.python_version()}"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--only-binary=:all:", python]
    subprocess.run([*command, *platforms, "--target", machine.site, *names], check=True)


def install_own(machine: ArmMachine) -> None:
    """Our wheel: the one that is in the folder `dist`."""
    (wheel,) = (machine.folder / "dist").glob("*aarch64*.whl")
    shutil.rmtree(machine.own, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(machine.own)


def main(folder: str) -> None:
    """Set up the machine; existing parts are kept."""
    if problem := missing():
        sys.exit(problem)
    machine = ArmMachine(Path(folder))
    if not (machine.root / "usr" / "bin").is_dir():
        unpack_python(machine)
    if not machine.site.is_dir():
        install_wheels(machine, WHEELS)
    install_own(machine)
    print(machine.run("max", "-c", "import sys, platform; print(platform.machine(), sys.version)").strip())


if __name__ == "__main__":
    main(*sys.argv[1:])
