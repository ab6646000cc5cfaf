"""The parts that make a release: bytes that depend on files alone, hashes, versions, tools; what may be published."""

import os
import re
import tarfile
from pathlib import Path

import archives
import artefacts
import components
import make_release
import oldest
import pytest
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


def test_the_page_of_the_package_leads_nowhere_but_to_the_web():
    """An index shows pyproject's readme on a page of its own, where a path in the repository leads to nothing."""
    page = (ROOT / re.search(r'^readme = "(.+?)"', PYPROJECT, re.M)[1]).read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not link.startswith("https://")] == []
    assert "<img" not in page and "pip install minembed" in page


def test_libraries_of_an_earlier_run_are_told_from_new_ones(tmp_path, monkeypatch):
    """By whether their manifest was written again, whatever its contents."""

    def run(*words, **settings):
        if words[-1] == "new":
            os.utime(tmp_path / "kept/new/manifest.json", (2, 2))
        return "1200000000"

    for name in ("old", "new"):
        (tmp_path / "kept" / name).mkdir(parents=True)
        (tmp_path / "kept" / name / "manifest.json").write_text("{}")
        os.utime(tmp_path / "kept" / name / "manifest.json", (1, 1))
    write_sdist(tmp_path / "one.tar.gz", tmp_path / "one", ["a.py"], 1_000_000_000)
    monkeypatch.setattr(make_release, "run", run)
    asked = ["old", "new", "first"]
    assert make_release.build(Path("python"), tmp_path, tmp_path, asked, tmp_path / "kept") == ["old"]
    assert make_release.build(Path("python"), tmp_path, tmp_path, asked, None) == []


def test_only_passed_tests_count(capsys):
    printed = "minembed ...\n==== 5 passed, 1 skipped in 3.2s ====\nmake: Leaving directory '/tmp'\n"
    assert make_release.summary(printed) == "5 passed, 1 skipped in 3.2s"
    for printed in ("==== no tests ran in 0.1s ====\n", "==== 3 deselected, 0 passed ====", ""):
        with pytest.raises(SystemExit, match="no test has passed"):
            make_release.summary(printed)


def test_the_wheel_that_was_built_is_tested(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(make_release, "run_tests", lambda wanted, *words: asked.append((wanted, *words)) or "1 passed")
    monkeypatch.setattr(make_release, "here", lambda: "linux-x86_64")
    wheel = tmp_path / f"minembed-1.0-py3-none-{artefacts.MARKS['linux-x86_64']}.whl"
    wheel.write_text("")
    assert make_release.tests_of_wheel(True, tmp_path, ["linux-x86_64"]) == "1 passed"
    assert asked == [(True, "test-wheel", f"WHEEL={wheel}")]
    assert make_release.tests_of_wheel(True, tmp_path, ["macos-arm64"]).startswith("not run (no wheel of linux-x86_64")
    assert len(asked) == 1
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest-wheel:")[2].partition("\n\n")[0]
    assert "pip install -q $(or $(WHEEL)," in recipe


TOOLS = {"build==1": [], "numba==1": ["llvmlite==1"], "llvmlite==1": [], "pip==1": []}


def listed(name, tools=TOOLS):
    """A list of components as cyclonedx_py writes it."""
    entries = [{"ref": ref, "dependsOn": others} for ref, others in tools.items()]
    own = {"bom-ref": "root-component", "name": name, "type": "library", "licenses": []}
    return {
        "metadata": {"component": own, "timestamp": "a day"},
        "components": [{"bom-ref": ref} for ref in tools],
        "dependencies": [{"ref": "root-component", "dependsOn": ["numba==1"]}, *entries],
    }


def test_a_list_of_components_names_the_version():
    bom = components.of_installation(listed("minembed"), "1.0")
    assert bom["metadata"]["component"]["version"] == "1.0" and bom["metadata"]["component"]["name"] == "minembed"
    assert bom["metadata"]["component"]["purl"] == "pkg:pypi/minembed@1.0" and len(bom["components"]) == 4


def test_tools_of_the_build_are_not_said_to_be_needed_by_the_package():
    bom = components.of_build(listed("minembed"), "1.0")
    own = bom["metadata"]["component"]
    assert own["name"] == "minembed-build" and own["version"] == "1.0" and "purl" not in own
    assert bom["metadata"]["lifecycles"] == [{"phase": "build"}] and bom["metadata"]["timestamp"] == "a day"
    (needs,) = [entry["dependsOn"] for entry in bom["dependencies"] if entry["ref"] == own["bom-ref"]]
    assert needs == sorted(TOOLS) and len(bom["dependencies"]) == 5
