"""The parts that make a release: bytes that depend on files alone, hashes, notes, and that nothing is left out."""

import json
import os
import re
import tarfile
from dataclasses import asdict
from pathlib import Path

import archives
import known
import make_release
import oldest
import programs
import provenance
import pytest
import smoke
from known import Known
from places import ROOT

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def write_sdist(path, folder, names, time):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"of {name}")
        os.utime(folder / name, (time, time))
        (folder / name).chmod(0o600 + time % 2 * 0o44)
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.add(folder / name, f"minembed-1/{name}")
    return path


def test_an_sdist_depends_on_its_files_alone(tmp_path):
    one = write_sdist(tmp_path / "one.tar.gz", tmp_path / "one", ["a.py", "b/c.py"], 1_000_000_000)
    two = write_sdist(tmp_path / "two.tar.gz", tmp_path / "two", ["b/c.py", "a.py"], 1_100_000_001)
    assert one.read_bytes() != two.read_bytes()
    for path in (one, two):
        archives.normalise_sdist(path, 1_200_000_000)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as archive:
        members = archive.getmembers()
        assert [m.name for m in members] == ["minembed-1/a.py", "minembed-1/b/c.py"]
        assert {(m.mtime, m.mode, m.uid, m.uname) for m in members} == {(1_200_000_000, 0o644, 0, "")}
        assert archive.extractfile(members[1]).read() == b"of b/c.py"


def test_hashes_find_what_changed_is_missing_or_new(tmp_path):
    for name in ("kept", "changed", "missing"):
        (tmp_path / name).write_text(name)
    archives.write_sums(tmp_path)
    assert archives.wrong_sums(tmp_path) == []
    (tmp_path / "changed").write_text("other")
    (tmp_path / "missing").unlink()
    (tmp_path / "new").write_text("")
    assert archives.wrong_sums(tmp_path) == ["changed", "missing", "new"]


def test_two_builds_are_compared(tmp_path):
    for folder, content in (("first", "x"), ("second", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text("same")
        (tmp_path / folder / "other").write_text(content)
    (tmp_path / "second" / "alone").write_text("")
    assert archives.differences(tmp_path / "first", tmp_path / "second") == ["alone", "other"]


def test_every_extra_has_a_program_that_compiles():
    (section,) = re.findall(r"\[project.optional-dependencies\]\n(.*?)\n\n", PYPROJECT, re.S)
    extras = {"", *re.findall(r"^([\w-]+) = \[", section, re.M)}
    assert extras | {*programs.BESIDE} == {*programs.EXTRAS} and not extras & {*programs.BESIDE}
    assert {*programs.HEAVY} | {*programs.ALONE} | {*smoke.NOISY} <= {*programs.EXTRAS}
    assert all(extra in extras for extra, *_ in programs.BESIDE.values())
    for program in (programs.BASE, *programs.EXTRAS.values()):
        compile(program, "program", "exec")


def test_the_version_is_the_same_everywhere():
    version, _ = make_release.stated_version(ROOT)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert make_release.changes(ROOT).startswith(f"## {version}")


def test_the_licence_is_the_same_everywhere():
    assert re.search(r'^license = "(.+)"$', PYPROJECT, re.M)[1] == "Apache-2.0"
    assert "\nlicense: Apache-2.0\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_versions_that_differ_are_named(tmp_path):
    (tmp_path / "minembed").mkdir()
    (tmp_path / "minembed" / "version.py").write_text('__version__ = "1.0.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.1, unreleased\n")
    (tmp_path / "CITATION.cff").write_text("version: 1.0.0\n")
    with pytest.raises(SystemExit, match=r"version.py says 1.0.0, CHANGELOG.md 1.0.1, CITATION.cff 1.0.0"):
        make_release.stated_version(tmp_path)


@pytest.mark.parametrize("name", ["build", "check", "sbom", "citation"])
def test_tools_are_pinned(name):
    path = Path(make_release.__file__).with_name("requirements") / f"{name}.txt"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[0] not in "#-"]
    assert lines and all(re.fullmatch(r"[\w.\-]+==[\w.]+", line) for line in lines)


def test_what_builds_is_what_pyproject_allows():
    path = Path(make_release.__file__).with_name("requirements") / "build.txt"
    pinned = dict(re.findall(r"^([\w\-]+)==([\d.]+)$", path.read_text(encoding="utf-8"), re.M))
    bounds = oldest.oldest(PYPROJECT, ["numba"]) | {"setuptools": "77"}
    for name in ("numpy", "numba", "setuptools"):
        assert [int(n) for n in pinned[name].split(".")] >= [int(n) for n in bounds[name].split(".")]


def test_notes_say_what_was_left_out_and_how_to_rebuild(tmp_path):
    (tmp_path / "minembed-1.0.tar.gz").write_text("an sdist")
    notes = provenance.Notes("abc123", "1.0", "unreleased", ["--no-tests", "--twice"], tests="not run (TESTS=0)")
    notes.tools = {"build": ["numba==0.68.1"]}
    provenance.write_notes(notes, tmp_path)
    page = (tmp_path / "PROVENANCE.md").read_text(encoding="utf-8")
    for said in ("Revision abc123", "not run (TESTS=0)", "still marked unreleased", "make release TWICE=1 TESTS=0"):
        assert said in page
    assert all(f"{name} ({size})" in page for name, size in programs.HEAVY.items())
    about = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))
    assert about["files"]["minembed-1.0.tar.gz"]["sha256"] == archives.digest(tmp_path / "minembed-1.0.tar.gz")
    assert about["tools"] == notes.tools and about["machine"]["python"]


def test_a_row_of_the_smoke_test():
    rows = [smoke.Row("minembed-1.0-py3-none-any.whl", "arrow", "3.12", "numpy", 130.1, 7.2, 22, 9)]
    assert smoke.line(rows[0]) == "| any | arrow | 3.12 | numpy | 22 | 130.1 | 7.2 | passed |"
    rows[0].failed = "one\ntwo"
    assert smoke.line(rows[0]).endswith("| **failed**: one / two |")


def test_what_passed_is_known_until_it_changes(tmp_path):
    wheel = tmp_path / "minembed-1.0-py3-none-any.whl"
    wheel.write_text("one")
    noted = Known(tmp_path / "passed.json")
    key = noted.key(wheel, "python3.11", "a program")
    noted.add(key, {"extra": "arrow"})
    again = Known(tmp_path / "passed.json")
    assert again.rows == {key: {"extra": "arrow"}} and again.key(wheel, "python3.11", "a program") == key
    assert key not in {again.key(wheel, "python3.12", "a program"), again.key(wheel, "python3.11", "another")}
    wheel.write_text("two")
    assert again.key(wheel, "python3.11", "a program") not in again.rows
    (tmp_path / "passed.json").write_text("damaged")
    assert Known(tmp_path / "passed.json").rows == {}


def test_the_table_of_extras_keeps_what_was_not_tried_again(tmp_path):
    page = tmp_path / "support.md"
    page.write_text(f"before\n{known.BEGIN}\n{known.END}\nafter\n")
    row = asdict(smoke.Row("minembed-1.0-py3-none-any.whl", "arrow", "3.12", "numpy", 130.1, 7.2, 22, 9))
    known.write_table([row, row | {"extra": "ray", "failed": "one\ntwo"}], page, "a day")
    known.write_table([row | {"extra": "ray", "packages": 40}], page, "another day")
    lines = page.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after"
    assert "| `arrow` | 3.12 | numpy | 22 | 130.1 | passed | 1.0, a day |" in lines
    assert "| `ray` | 3.12 | numpy | 40 | 130.1 | passed | 1.0, another day |" in lines
    assert sum(line.startswith("| `") for line in lines) == len(programs.EXTRAS) - 1
    assert "| `viz` | | | | | not tried | |" in lines


def test_the_page_of_the_package_leads_nowhere_but_to_the_web():
    """An index shows pyproject's readme on a page of its own, where a path in the repository leads to nothing."""
    page = (ROOT / re.search(r'^readme = "(.+?)"', PYPROJECT, re.M)[1]).read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not link.startswith("https://")] == []
    assert "<img" not in page and "pip install minembed" in page


def test_a_list_of_components_names_the_version(tmp_path):
    path = tmp_path / "minembed-1.0.cdx.json"
    path.write_text(json.dumps({"metadata": {"component": {"name": "minembed", "type": "library"}}, "components": []}))
    make_release.complete(path, "1.0")
    bom = json.loads(path.read_text(encoding="utf-8"))
    assert bom["metadata"]["component"]["version"] == "1.0" and bom["metadata"]["component"]["name"] == "minembed"
    assert bom["metadata"]["component"]["purl"] == "pkg:pypi/minembed@1.0" and bom["components"] == []
