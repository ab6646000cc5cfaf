"""What a release has to say before its files may be published, and what its notes say of a rehearsal."""

import json
import re
import subprocess
from argparse import Namespace

import archives
import make_release
import programs
import provenance
import published
import pytest
from places import ROOT

PYPROJECT = """[project]
name = "minembed"
maintainers = [{ name = "Someone", email = "someone@example.org" }]

[project.urls]
Source = "https://example.org/minembed"
Issues = "https://example.org/minembed/issues"
Changelog = "https://example.org/minembed/changes"
Security = "https://example.org/minembed/security"

[tool.other]
Source = "https://example.org/other"
"""
CITATION = 'version: 1.0.0\nrepository-code: "https://example.org/minembed"\n'


def git(folder, *words):
    own = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.org",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "tag.gpgsign=false",
    ]
    done = subprocess.run(["git", "-C", folder, *own, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A repository that is ready, and its revision."""
    git(tmp_path, "init", "-q")
    (tmp_path / "minembed").mkdir()
    (tmp_path / "minembed" / "version.py").write_text('__version__ = "1.0.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.0, 2026-12-01\n")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "CITATION.cff").write_text(CITATION)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "ready")
    return tmp_path, git(tmp_path, "rev-parse", "HEAD")


def wrong_with(checkout, version="1.0.0", dated="2026-12-01"):
    return published.unready(checkout[0], version, dated, checkout[1])


def test_nothing_is_wrong_with_a_release_that_says_it_all(checkout):
    assert wrong_with(checkout) == []
    git(checkout[0], "tag", "-am", "a release", "v1.0.0")  # as after a run that was stopped
    git(checkout[0], "tag", "v0.9.10")
    assert wrong_with(checkout) == []


@pytest.mark.parametrize("dated", ["unreleased", "", "soon", "2026-12"])
def test_a_release_has_a_day(dated, checkout):
    (wrong,) = wrong_with(checkout, dated=dated)
    assert "has no day: write '## 1.0.0, YYYY-MM-DD'" in wrong


def test_a_tag_is_new(checkout):
    folder, before = checkout
    git(folder, "tag", "-am", "taken", "v1.0.0")
    git(folder, "commit", "-q", "--allow-empty", "-m", "later")
    now = git(folder, "rev-parse", "HEAD")
    (wrong,) = published.unready(folder, "1.0.0", "2026-12-01", now)
    assert wrong == f"the tag v1.0.0 is at {before}, not at {now}: 1.0.0 is taken, raise the version"
    git(folder, "tag", "v1.0.10")
    assert published.unready(folder, "1.0.9", "2026-12-01", now) == ["the tag v1.0.10 is of a later version than 1.0.9"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[project.urls]", "[project.uris]", r"\[project.urls\] has no Source, Issues, Changelog, Security"),
        ("Security = ", "Other = ", r"\[project.urls\] has no Security: say where"),
        ("https://example.org/minembed/issues", "to be said", r"\[project.urls\] has no Issues"),
        ("maintainers = ", "keywords = ", "names no maintainers"),
        ('{ name = "Someone", email = "someone@example.org" }', "", "names no maintainers"),
        ('https://example.org/minembed"\nIssues', 'https://example.org/fork"\nIssues', "make them one"),
        ("repository-code: ", "url: ", "CITATION.cff has no repository-code"),
    ],
)
def test_who_has_only_the_package_finds_the_project(old, new, said):
    assert (old in PYPROJECT) + (old in CITATION) == 1
    (wrong,) = published.unreachable(PYPROJECT.replace(old, new), CITATION.replace(old, new))
    assert re.search(said, wrong)


def begin(checkout, monkeypatch, **options):
    monkeypatch.setattr(make_release, "ROOT", checkout[0])
    asked = {"rehearsal": False, "tests": False, "twice": False, "heavy": False, "platform": None}
    return make_release.begin(Namespace(**asked | options))


def test_only_a_rehearsal_goes_on_where_something_is_missing(checkout, monkeypatch):
    assert begin(checkout, monkeypatch).unready == []
    with pytest.raises(SystemExit, match=r"(?s)REHEARSAL=1.*no wheel for linux-aarch64, macos-arm64, windows-x86_64"):
        begin(checkout, monkeypatch, platform=["linux-x86_64"])
    (checkout[0] / "CITATION.cff").write_text("version: 1.0.0\n")
    git(checkout[0], "commit", "-qam", "no address")
    with pytest.raises(SystemExit, match=r"CITATION\.cff has no repository-code"):
        begin(checkout, monkeypatch)
    notes = begin(checkout, monkeypatch, rehearsal=True, platform=["none"])
    assert notes.rehearsal and len(notes.unready) == 2 and notes.platforms == [] and not notes.all_platforms


def test_this_project_names_no_address_that_it_does_not_have():
    """What is missing is said: `make release` stops until the repository has an address, and CONTRIBUTING says so."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CITATION.cff")]
    if published.unreachable(*texts):
        assert "no public address yet" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
        guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Releasing")[2]
        assert all(word in guide for word in ("[project.urls]", "maintainers", "repository-code", *published.URLS))


# --- the notes ------------------------------------------------------------------------------------------------------


def noted(folder, **more):
    (folder / "minembed-1.0.tar.gz").write_text("an sdist")
    said = {"tests": "7 passed", "platforms": ["linux-x86_64", "macos-arm64"], "built": "a day", "dated": "2026-12-01"}
    notes = provenance.Notes("abc123", "1.0", **said | more)
    notes.tools = {"build": ["numba==0.68.1"]}
    provenance.write_notes(notes, folder)
    return notes, (folder / "PROVENANCE.md").read_text(encoding="utf-8")


def test_notes_say_what_was_left_out_and_how_to_rebuild(tmp_path):
    more = {"tests": "not run (TESTS=0)", "twice": True, "rehearsal": True, "unready": ["it has no day"]}
    notes, page = noted(tmp_path, dated="unreleased", wheel_tests="not run (TESTS=0)", **more)
    for said in ("Revision abc123", "checkout: not run (TESTS=0)", "wheel: not run (TESTS=0)", "- it has no day"):
        assert said in page
    assert "not to be published" in page and "make release REHEARSAL=1 TWICE=1 TESTS=0\n" in page
    assert all(f"{name} ({size})" in page for name, size in programs.HEAVY.items())
    about = json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8"))
    assert about["files"]["minembed-1.0.tar.gz"]["sha256"] == archives.digest(tmp_path / "minembed-1.0.tar.gz")
    assert about["tools"] == notes.tools and about["machine"]["python"] and about["rehearsal"]


def test_notes_of_a_release(tmp_path):
    _, page = noted(tmp_path, heavy=True, wheel_tests="5 passed", kept=["macos-arm64"])
    for said in ("built a day", "make release HEAVY=1\n", "checkout: 7 passed", "wheel: 5 passed"):
        assert said in page
    assert "rehearsal" not in page and "RELEASE_PLATFORMS" not in page and "Left out" not in page
    assert "Compiled in this run: linux-x86_64. From an earlier run's `.venv/release/libraries`" in page
    assert "had changed: macos-arm64." in page


@pytest.mark.parametrize(
    ("platforms", "said"),
    [([], "=none"), (["macos-arm64"], "=macos-arm64"), (["a", "b"], '="a b"')],
)
def test_the_same_files_are_built_again(platforms, said, tmp_path):
    _, page = noted(tmp_path, platforms=platforms, all_platforms=False, rehearsal=True)
    assert f"make release REHEARSAL=1 RELEASE_PLATFORMS{said}\n" in page


def test_the_time_of_the_notes_is_that_of_the_build(tmp_path, monkeypatch):
    """Not of their first line: tests run before, for half an hour."""
    notes, _ = noted(tmp_path, built="")
    assert notes.built == ""
    times = iter(["after the first build"])
    monkeypatch.setattr(make_release, "now", lambda: next(times))
    monkeypatch.setattr(make_release, "clone", lambda revision, folder: folder)
    monkeypatch.setattr(make_release, "build", lambda *words: ["macos-arm64"])
    make_release.build_twice(tmp_path, tmp_path, notes)
    assert notes.built == "after the first build" and notes.kept == ["macos-arm64"]
    assert notes.reproduced == "any and the sdist, from two clones: the same bytes"
