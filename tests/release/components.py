"""Lists of components (CycloneDX): what an installation brings, and what built the compiled kernels."""

import json
import sys
from pathlib import Path

from release_tools import QUIET, environment, plain_environment, run

BUILT = "What compiled and packed the kernels of minembed; none of it is part of the package."
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1], encoding="utf-8").read())
sys.exit(f"{sys.argv[1]}: {found}" if found else 0)
"""


def list_components(work: Path, folder: Path, source: Path, build_python: Path, version: str) -> None:
    """Write both lists into a folder, and validate them."""
    python = environment(work, "sbom")
    installed = work / "installed"
    run(sys.executable, "-m", "venv", "--clear", "--without-pip", installed)
    (wheel,) = folder.glob("*-none-any.whl")
    run(sys.executable, "-m", "pip", "--python", installed / "bin" / "python", "install", *QUIET, wheel)
    epoch = run("git", "-C", source, "log", "-1", "--format=%ct").strip()
    command = [python, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--mc-type", "library"]
    command += ["--pyproject", source / "pyproject.toml", "--of", "JSON"]
    settings = {"env": plain_environment(SOURCE_DATE_EPOCH=epoch)}
    lists = {"": (installed / "bin" / "python", of_installation), "-build": (build_python, of_build)}
    for name, (described, finish) in lists.items():
        path = folder / f"minembed-{version}{name}.cdx.json"
        run(*command, "-o", path, described, **settings)
        bom = finish(json.loads(path.read_text(encoding="utf-8")), version)
        path.write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        run(python, "-c", VALIDATE, path)


def of_installation(bom: dict, version: str) -> dict:
    """A list with the version of what it is of, which pyproject.toml leaves to version.py."""
    bom["metadata"]["component"] |= {"version": version, "purl": f"pkg:pypi/minembed@{version}"}
    return bom


def of_build(bom: dict, version: str) -> dict:
    """A list of tools that are no part of the package: of another thing, in another phase, which needs all of them."""
    root = bom["metadata"]["component"]["bom-ref"]
    own = {"bom-ref": root, "type": "application", "name": "minembed-build", "version": version, "description": BUILT}
    bom["metadata"] |= {"component": own, "lifecycles": [{"phase": "build"}]}
    others = [entry for entry in bom["dependencies"] if entry["ref"] != root]
    tools = sorted(component["bom-ref"] for component in bom["components"])
    bom["dependencies"] = sorted([*others, {"ref": root, "dependsOn": tools}], key=lambda entry: entry["ref"])
    return bom
