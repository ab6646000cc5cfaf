"""The lower bounds of pyproject.toml as requirements, a line each: python oldest.py EXTRA ... > oldest.txt

`make test-oldest` installs exactly these, so that every bound is tested.  Python 3.10 cannot read TOML; pyproject.toml
keeps each list of requirements on lines of its own, which are found by their form.
"""

import re
import sys
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
LOWER_BOUND = re.compile(r"([\w.\-]+)>=([\w.]+)")


def requirements(text: str, name: str) -> list[str]:
    """The strings of the list that is assigned to a name.

    >>> requirements('a = ["b>=1", "c>=2; sys_platform"]', "a")
    ['b>=1', 'c>=2; sys_platform']
    """
    found = re.search(rf"^{name} = \[(.*?)\]", text, re.M | re.S)
    assert found, f"pyproject.toml has no {name}"
    return re.findall(r'"([^"]+)"', found[1])


def oldest(text: str, extras: list[str]) -> dict[str, str]:
    """The highest lower bound of each package, among the dependencies and those of some extras."""
    bounds: dict[str, str] = {}
    for one in [*requirements(text, "dependencies"), *(r for extra in extras for r in requirements(text, extra))]:
        name, version = LOWER_BOUND.match(one).groups()
        bounds[name] = max(bounds.get(name, "0"), version, key=lambda v: [int(part) for part in v.split(".")])
    return bounds


if __name__ == "__main__":
    for name, version in oldest(PYPROJECT.read_text(encoding="utf-8"), sys.argv[1:]).items():
        print(f"{name}=={version}")
