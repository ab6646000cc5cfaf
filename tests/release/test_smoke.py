"""The smoke test of artefacts: that it refuses what it cannot check, and remembers no more than it knows."""

import re
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import archives
import artefacts
import known
import numpy as np
import programs
import pytest
import smoke
from known import Known
from places import ROOT

from minembed import Embedder
from minembed.kernels.ahead.wheels import TAGS

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
NAMES = {name: f"minembed-1.0-py3-none-{mark}.whl" for name, mark in artefacts.MARKS.items()}
NAMES |= {"pure": "minembed-1.0-py3-none-any.whl", "sdist": "minembed-1.0.tar.gz"}


@pytest.fixture
def release(tmp_path):
    """A folder with all files of a release, and their hashes."""
    folder = tmp_path / "release"
    folder.mkdir()
    for name in NAMES.values():
        (folder / name).write_text(name)
    archives.write_sums(folder)
    return folder


@pytest.fixture
def tried(monkeypatch):
    """What would be tried; nothing is installed."""
    asked = []

    def check(artefact, extra, python, work, version):
        asked.append((artefact.name, extra, python.minor, version))
        return smoke.Row(artefact.name, extra, python.minor, "numpy", 130.1, 7.2, 22, 9, day="a day")

    monkeypatch.setattr(smoke, "check", check)
    monkeypatch.setattr(smoke, "wrong_choices", lambda *words: [])
    monkeypatch.setattr(smoke, "here", lambda: "linux-x86_64")
    monkeypatch.setattr(smoke, "pythons", lambda: [smoke.Python(Path("python"), "3.11", "3.11.7 (main)")])
    return asked


def status(release, *words):
    with pytest.raises(SystemExit) as ended:
        smoke.main([str(release), str(release.with_name("work")), *words])
    return ended.value.code


def test_every_extra_has_a_program_that_compiles():
    (section,) = re.findall(r"\[project.optional-dependencies\]\n(.*?)\n\n", PYPROJECT, re.S)
    extras = {"", *re.findall(r"^([\w-]+) = \[", section, re.M)}
    assert extras | {*programs.BESIDE} == {*programs.EXTRAS} and not extras & {*programs.BESIDE}
    assert {*programs.HEAVY} | {*programs.ALONE} | {*programs.IGNORED} <= {*programs.EXTRAS}
    assert all(extra in extras for extra, *_ in programs.BESIDE.values())
    for program in (programs.BASE, programs.VECTORS, *programs.EXTRAS.values()):
        compile(program, "program", "exec")


def test_every_command_is_held_to_something():
    assert all(said.strip() for _, said in programs.COMMANDS)
    filters = [one for some in programs.IGNORED.values() for one in some]
    assert all(re.fullmatch(r"ignore:[^:,]{8,}:\w+", one) for one in filters)  # by name, not all of a category


def test_a_release_as_it_should_be(release, tried, capsys):
    assert status(release) == 0
    whole = [(NAMES[name], "", "3.11", "1.0") for name in ("pure", "linux-x86_64", "sdist")]
    extras = [extra for extra in programs.EXTRAS if extra and extra not in programs.HEAVY]
    assert tried == whole + [(NAMES["pure"], extra, "3.11", "1.0") for extra in extras]
    assert len(capsys.readouterr().out.splitlines()) == len(tried)


def test_only_what_is_asked_for(release, tried):
    assert status(release, "--only", "base") == 0 and [extra for _, extra, *_ in tried] == ["", "", ""]
    assert status(release, "--only", "arrow", "--only", "mteb") == 0
    assert [extra for _, extra, *_ in tried[3:]] == ["arrow", "mteb"]


def test_an_unknown_extra_is_an_error(release, tried, capsys):
    assert status(release, "--only", "arow") == 2 and tried == []
    assert "'arow'" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_artefact_is_an_error(name, release, tried):
    (release / NAMES[name]).unlink()
    archives.write_sums(release)
    assert f"one {name} has to be there: missing" in status(release) and tried == []


def test_a_platform_may_be_missing_where_that_was_asked_for(release, tried):
    for name in ("linux-aarch64", "macos-arm64", "windows-x86_64"):
        (release / NAMES[name]).unlink()
    archives.write_sums(release)
    assert status(release, "--platform", "linux-x86_64", "--only", "base") == 0 and len(tried) == 3


def test_hashes_have_to_be_there_and_right(release, tried):
    (release / NAMES["sdist"]).write_text("another")
    assert status(release) == f"{NAMES['sdist']}: not as SHA256SUMS says"
    (release / archives.SUMS).unlink()
    assert "has no SHA256SUMS: nothing to compare the files with" in status(release) and tried == []
    assert status(release, "--without-sums", "--only", "base") == 0 and len(tried) == 3


def test_two_versions_in_one_folder_are_an_error(release, tried):
    (release / "minembed-0.9.tar.gz").write_text("")
    assert "one sdist has to be there: minembed-0.9.tar.gz, minembed-1.0.tar.gz" in status(release, "--without-sums")


def test_a_python_that_cannot_be_used_is_an_error(release, tried):
    assert "has to be there" in status(release, "--python", "no/such/python") and tried == []


def test_what_pip_chooses_elsewhere(monkeypatch, tmp_path):
    """With the wheel of a platform that one, else the pure one; where there is none, that is told."""
    chosen = {target: NAMES[name or "pure"] for target, name in artefacts.TARGETS.items()}

    def download(*words):
        target = words[words.index("--platform") + 1]
        assert target in chosen, "no matching distribution"
        (Path(words[words.index("-d") + 1]) / chosen[target]).write_text("")

    monkeypatch.setattr(artefacts, "try_to", download)
    assert artefacts.wrong_choices(tmp_path, [*artefacts.MARKS]) == []
    assert artefacts.wrong_choices(tmp_path, ["linux-x86_64", "linux-aarch64", "macos-arm64"]) == [
        f"for win_amd64 pip chooses {NAMES['windows-x86_64']}"
    ]
    del chosen["win_amd64"]
    (wrong,) = artefacts.wrong_choices(tmp_path, [*artefacts.MARKS])
    assert wrong.startswith("for win_amd64 pip chooses nothing")


def test_pip_chooses_by_the_tags_of_our_wheels(tmp_path, monkeypatch):
    """With pip itself, which matches --platform to the letter, on wheels that hold nothing but their metadata."""
    for name in ["py3-none-any", *(f"py3-none-{tags}" for tags in TAGS.values())]:
        with zipfile.ZipFile(tmp_path / f"minembed-1.0-{name}.whl", "w") as wheel:
            wheel.writestr("minembed-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: minembed\nVersion: 1.0\n")
            wheel.writestr("minembed-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
    assert {*TAGS} == {*artefacts.MARKS} and all(artefacts.MARKS[name] in TAGS[name] for name in TAGS)
    some = {target: name for target, name in artefacts.TARGETS.items() if target.startswith("manylinux")}
    monkeypatch.setattr(artefacts, "TARGETS", some)
    assert len(some) == 2 and artefacts.wrong_choices(tmp_path, [*artefacts.MARKS]) == []


# --- how an environment is used -------------------------------------------------------------------------------------


def environment(folder, body):
    """A Python whose `minembed` command is a program of the test."""
    command = folder / "minembed"
    command.write_text(f"#!{sys.executable}\nimport sys, warnings\n{body}\n")
    command.chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    return folder / "python"


@pytest.mark.skipif(sys.platform == "win32", reason="the command is a script with a first line")
@pytest.mark.parametrize(
    ("body", "filters", "said"),
    [
        ("print('yes 1.0')", [], ""),
        ("warnings.warn('old', DeprecationWarning); print('yes')", [], "DeprecationWarning"),
        ("warnings.warn('old name', DeprecationWarning); print('yes')", ["ignore:old name:DeprecationWarning"], ""),
        ("warnings.warn('other', DeprecationWarning); print('yes')", ["ignore:old name:DeprecationWarning"], "other"),
        ("print('no')", [], "says no"),
    ],
)
def test_commands_may_not_warn(body, filters, said, tmp_path, monkeypatch):
    found = '{"version": "1.0", "backend": "numpy", "cosine": 0.5, "numba": false, "torch": false}'
    starts = "import subprocess, sys\nsubprocess.run([{!r}], check=True, stdout=-3)".format(str(tmp_path / "minembed"))
    monkeypatch.setattr(smoke, "BASE", f"print('{found}')")
    monkeypatch.setattr(smoke, "COSINE", 0.5)
    monkeypatch.setattr(smoke, "COMMANDS", [(["any"], "yes")])
    monkeypatch.setattr(smoke, "VECTORS", "")
    monkeypatch.setattr(smoke, "EXTRAS", {"arrow": starts})
    monkeypatch.setattr(smoke, "IGNORED", {"arrow": filters})
    own, row = environment(tmp_path, body), smoke.Row("minembed-1.0-py3-none-any.whl", "arrow", "3.11")
    if said:
        with pytest.raises(AssertionError, match=said):
            smoke.use(row, own, Path(row.artefact), "1.0")
        monkeypatch.setattr(smoke, "COMMANDS", [])  # and a command that the extra's program starts
        if "says" not in said:
            with pytest.raises(AssertionError, match=said):
                smoke.use(row, own, Path(row.artefact), "1.0")
    else:
        smoke.use(row, own, Path(row.artefact), "1.0")


@pytest.mark.weights
def test_vectors_of_the_command_are_looked_at(tmp_path, monkeypatch, minilm_as):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text(smoke.NOTES)
    model = minilm_as("numpy")
    monkeypatch.setattr(Embedder, "load", lambda *words, **options: model)  # once is enough
    vectors = model.encode(smoke.NOTES.splitlines())
    np.save("vectors.npy", vectors)
    exec(programs.VECTORS, {})
    nearly = np.nextafter(vectors, np.float32(9))
    for wrong in (vectors[:2], vectors.astype(np.float64), vectors[::-1], nearly, np.zeros_like(vectors)):
        np.save("vectors.npy", wrong)
        with pytest.raises(AssertionError):
            exec(programs.VECTORS, {})


# --- what is remembered ---------------------------------------------------------------------------------------------


def test_a_row_of_the_smoke_test():
    rows = [smoke.Row("minembed-1.0-py3-none-any.whl", "arrow", "3.12", "numpy", 130.1, 7.2, 22, 9, day="2026-12-01")]
    assert smoke.line(rows[0]) == "| any | arrow | 3.12 | numpy | 22 | 130.1 | 7.2 | passed | 2026-12-01 |"
    rows[0].failed = "one\ntwo"
    assert smoke.line(rows[0]).endswith("| **failed**: one / two | 2026-12-01 |")


def test_what_passed_is_known_until_it_changes(tmp_path):
    wheel, code = tmp_path / "minembed-1.0-py3-none-any.whl", tmp_path / "programs.py"
    wheel.write_text("one")
    code.write_text("a program")
    noted = Known(tmp_path / "passed.json", [code])
    key = noted.key(wheel, "arrow", "3.11.7 (main)")
    noted.add(key, {"extra": "arrow"})
    again = Known(tmp_path / "passed.json", [code])
    assert again.rows == {key: {"extra": "arrow"}} and again.key(wheel, "arrow", "3.11.7 (main)") == key
    assert key not in {again.key(wheel, "arrow", "3.11.9 (main)"), again.key(wheel, "viz", "3.11.7 (main)")}
    code.write_text("another program")
    assert Known(tmp_path / "passed.json", [code]).key(wheel, "arrow", "3.11.7 (main)") != key
    wheel.write_text("two")
    assert again.key(wheel, "arrow", "3.11.7 (main)") not in again.rows
    (tmp_path / "passed.json").write_text("damaged")
    assert Known(tmp_path / "passed.json").rows == {}


def test_the_code_that_results_depend_on_is_in_the_key():
    """Every module of ours that smoke.py imports, but those that look at files before anything is tried."""
    source = Path(smoke.__file__).read_text(encoding="utf-8")
    own = {path.name for path in known.FOLDER.glob("*.py")}
    used = {f"{name}.py" for name in re.findall(r"^from (\w+) import", source, re.M)} & own
    assert used | {"smoke.py"} == {path.name for path in known.CODE} | {"artefacts.py", "known.py"}


def test_a_result_keeps_its_day(release, tried, tmp_path, monkeypatch):
    page = tmp_path / "support.md"
    page.write_text(f"{known.BEGIN}\n{known.END}\n")
    monkeypatch.setattr(smoke, "write_table", lambda rows: known.write_table(rows, page))
    for _ in range(2):  # the second time, it is known
        assert status(release, "--only", "arrow", "--record") == 0
    assert len(tried) == 1 and "| passed | 1.0, a day |" in page.read_text()


def test_the_table_of_extras_keeps_what_was_not_tried_again(tmp_path):
    page = tmp_path / "support.md"
    page.write_text(f"before\n{known.BEGIN}\n{known.END}\nafter\n")
    row = asdict(smoke.Row("minembed-1.0-py3-none-any.whl", "arrow", "3.12", "numpy", 130.1, 7.2, 22, 9, day="a day"))
    known.write_table([row, row | {"extra": "ray", "failed": "one\ntwo"}], page)
    known.write_table([row | {"extra": "ray", "packages": 40, "day": "another day"}], page)
    lines = page.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after"
    assert "| `arrow` | 3.12 | numpy | 22 | 130.1 | passed | 1.0, a day |" in lines
    assert "| `ray` | 3.12 | numpy | 40 | 130.1 | passed | 1.0, another day |" in lines
    assert sum(line.startswith("| `") for line in lines) == len(programs.EXTRAS) - 1
    assert "| `viz` | | | | | not tried | |" in lines
