"""Notes on where artefacts come from: revision, machine, versions of every tool, what was checked, how to rebuild."""

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from archives import digest
from programs import HEAVY

NOT_RUN = "not run"


@dataclass
class Notes:
    """What a run of `make release` knows of itself."""

    revision: str
    version: str
    dated: str  # beside the version in the changelog
    tests: str
    platforms: list[str]  # whose wheels were built
    all_platforms: bool = True
    rehearsal: bool = False
    unready: list[str] = field(default_factory=list)  # why these files may not be published
    twice: bool = False
    heavy: bool = False
    wheel_tests: str = ""
    built: str = ""
    kept: list[str] = field(default_factory=list)  # platforms whose libraries an earlier run had compiled
    reproduced: str = ""
    checks: list[str] = field(default_factory=list)
    smoke: list[str] = field(default_factory=list)
    tools: dict[str, list[str]] = field(default_factory=dict)


def now() -> str:
    """The time, as notes say it."""
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"


def first_line(*command: str) -> str:
    """What a command prints first, or "none" where there is none."""
    if shutil.which(command[0]) is None:
        return "none"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0]


def machine() -> dict[str, str]:
    """The machine that builds, in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "python": sys.version.replace("\n", " "),
        "compiler": first_line("cc", "--version"),
        "git": first_line("git", "--version"),
        "make": first_line("make", "--version"),
    }


def toolchains(folder: Path) -> dict[str, dict[str, str]]:
    """What compiled the libraries of each wheel, as its manifest says."""
    found = {}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            name = "minembed/kernels/native/manifest.json"
            if name in archive.namelist():
                manifest = json.loads(archive.read(name))
                found[manifest["platform"]] = manifest["toolchain"] | {"libraries": ", ".join(manifest["libraries"])}
    return found


def rebuild(notes: Notes) -> str:
    """The lines that make the same files again."""
    options = [f"{name.upper()}=1" for name in ("rehearsal", "twice", "heavy") if getattr(notes, name)]
    options += ["TESTS=0"] if notes.tests.startswith(NOT_RUN) else []
    if not notes.all_platforms:
        chosen = " ".join(notes.platforms) or "none"
        options.append(f'RELEASE_PLATFORMS="{chosen}"' if " " in chosen else f"RELEASE_PLATFORMS={chosen}")
    return "\n".join(
        [
            "git clone REPOSITORY minembed && cd minembed",
            f"git checkout {notes.revision}",
            " ".join(["make release", *options]),
            "cd dist/release && sha256sum --ignore-missing -c PUBLISHED/SHA256SUMS  # .whl and .tar.gz have to be OK",
        ]
    )


def origins(notes: Notes) -> str:
    """Which libraries this run compiled, and which an earlier one."""
    new = [name for name in notes.platforms if name not in notes.kept]
    said = f"Compiled in this run: {', '.join(new) or 'none'}."
    if notes.kept:
        said += " From an earlier run's `.venv/release/libraries`, since no source, tool or version had changed: "
        said += f"{', '.join(notes.kept)}."
    return said


def write_notes(notes: Notes, folder: Path) -> None:
    """PROVENANCE.md for people, provenance.json for programs."""
    about = asdict(notes) | {"machine": machine(), "toolchains": toolchains(folder)}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    about["files"] = {path.name: {"sha256": digest(path), "bytes": path.stat().st_size} for path in files}
    (folder / "provenance.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (folder / "PROVENANCE.md").write_text("\n".join(page(notes, about)) + "\n", encoding="utf-8")


def page(notes: Notes, about: dict) -> list[str]:
    """The lines of PROVENANCE.md."""
    left_out = "" if notes.heavy else f" Left out: {', '.join(f'{k} ({v})' for k, v in HEAVY.items())} (HEAVY=1)."
    lines = [f"# minembed {notes.version}: where these files come from", ""]
    if notes.rehearsal:
        lines += ["**A rehearsal: these files are not to be published.**", ""]
        lines += [*(f"- {reason}" for reason in notes.unready), ""] if notes.unready else []
    lines += [f"- Revision {notes.revision}, from a clean tree; built {notes.built}"]
    lines += [f"- Changelog: {notes.dated or 'no day'}"]
    lines += [f"- {what}: {value}" for what, value in about["machine"].items()]
    lines += [f"- Tests of the checkout: {notes.tests}", f"- Tests of this platform's wheel: {notes.wheel_tests}"]
    lines += [f"- Built twice: {notes.reproduced}", "", "## The files", ""]
    lines += ["| file | bytes | SHA-256 |", "|---|---:|---|"]
    lines += [f"| {name} | {x['bytes']:,} | {x['sha256']} |" for name, x in about["files"].items()]
    lines += [
        "",
        "`*.cdx.json` are lists of components (CycloneDX): of an installation, and of what built the kernels.",
        "",
    ]
    lines += ["## The same bytes again", "", "```sh", rebuild(notes), "```", ""]
    lines += [
        "Bytes are the same on Linux x86-64 with the Python and the C compiler above; the wheels' manifests name them.",
        "",
    ]
    lines += ["## Compiled kernels", "", origins(notes), ""]
    for name, chain in about["toolchains"].items():
        lines.append(f"- {name}: {'; '.join(f'{tool} {version}' for tool, version in chain.items())}")
    lines += ["", "## Checked", "", *(f"- {line}" for line in notes.checks), ""]
    lines += [f"Each installed into an environment of its own and used, with `-W error`.{left_out}", ""]
    lines += ["| artefact | extra | Python | computes with | packages | MB | MB of minembed | | tried |"]
    lines += ["|---|---|---|---|---:|---:|---:|---|---|", *notes.smoke, "", "## Tools", ""]
    for name, packages in notes.tools.items():
        lines += [f"- {name}: {', '.join(packages)}"]
    return lines
