"""What has to be said before files may be published: a date, a tag that is free, and where the project is found.

A rehearsal goes on without, and its notes say what was missing: make release REHEARSAL=1.
"""

import re
import subprocess
from pathlib import Path

URLS = ("Source", "Issues", "Changelog", "Security")


def unready(root: Path, version: str, dated: str, revision: str) -> list[str]:
    """What stands in the way of publishing a revision under a version, a sentence each."""
    pyproject = (root / "pyproject.toml").read_text(encoding="utf-8")
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    return [*wrong_date(version, dated), *wrong_tags(root, version, revision), *unreachable(pyproject, citation)]


def wrong_date(version: str, dated: str) -> list[str]:
    """The heading of the changelog needs a day."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", dated):
        return []
    return [f"CHANGELOG.md: '## {version}, {dated}' has no day: write '## {version}, YYYY-MM-DD'"]


def numbers(version: str) -> tuple[int, ...]:
    """A version to compare.

    >>> numbers("0.10.1") > numbers("v0.9.0")
    True
    """
    return tuple(int(number) for number in re.findall(r"\d+", version))


def wrong_tags(root: Path, version: str, revision: str) -> list[str]:
    """The tag vX.Y.Z has to be new, or at this revision; and no tag may be of a later version."""
    git = ("git", "-C", root)
    tags = subprocess.run([*git, "tag", "--list", "v*"], capture_output=True, text=True, check=True).stdout.split()
    wrong = []
    if (tag := f"v{version}") in tags:
        words = [*git, "rev-parse", f"{tag}^{{commit}}"]
        tagged = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        if tagged != revision:
            wrong.append(f"the tag {tag} is at {tagged}, not at {revision}: {version} is taken, raise the version")
    later = [other for other in tags if re.fullmatch(r"v\d+(\.\d+)*", other) and numbers(other) > numbers(version)]
    return wrong + [f"the tag {other} is of a later version than {version}" for other in later]


def table(pyproject: str, name: str) -> str:
    """The lines of a table of pyproject.toml: Python 3.10 cannot read TOML.

    >>> table('[project]\\nname = "a"\\n[project.urls]\\nSource = "b"\\n', "project.urls")
    'Source = "b"\\n'
    """
    found = re.search(rf"^\[{re.escape(name)}\]\n(.*?)(?=^\[|\Z)", pyproject, re.M | re.S)
    return found[1] if found else ""


def unreachable(pyproject: str, citation: str) -> list[str]:
    """Who has only the package has to find the repository, and someone to write to."""
    wrong = []
    urls = {
        key.strip('"').lower(): url
        for key, url in re.findall(r'^("?\w+"?) *= *"(https://[^"]+)"', table(pyproject, "project.urls"), re.M)
    }
    if missing := [name for name in URLS if name.lower() not in urls]:
        wrong.append(f"pyproject.toml: [project.urls] has no {', '.join(missing)}: say where, as https://...")
    people = re.search(r"^maintainers *= *\[(.*?)\]$", table(pyproject, "project"), re.M | re.S)
    if not (people and re.search(r'\b(name|email) *= *"[^"]+"', people[1])):
        wrong.append("pyproject.toml: [project] names no maintainers: say who answers")
    cited = re.search(r'^repository-code: *"?(https://[^"\s]+)', citation, re.M)
    if not cited:
        wrong.append("CITATION.cff has no repository-code: say where the source is, as https://...")
    elif "source" in urls and cited[1].rstrip("/") != urls["source"].rstrip("/"):
        wrong.append(f"CITATION.cff says {cited[1]}, pyproject.toml {urls['source']}: make them one")
    return wrong
