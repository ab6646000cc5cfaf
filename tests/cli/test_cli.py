"""The command line: what it prints, what it writes, and how it fails."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import warnings
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command import ANSI, MODULE, leftovers, run
from safetensors.numpy import load_file

import minembed.cli
from minembed import cosine_similarity
from minembed.cli import COMMANDS, console, heatmap, model_choice
from minembed.cli import invariance as selftest
from minembed.cli.demo import COOKING, PROGRAMMING
from minembed.data.sts import Pair, read_sts
from minembed.data.vectors import open_npy
from minembed.errors import InputError, MinembedWarning
from minembed.evaluation.pairs import pearson, spearman
from minembed.transformer.pooling import POOLING
from minembed.transformer.vectors import quantize_embeddings
from minembed.weights.families import FAMILIES
from minembed.weights.sources.cache import own_folder
from minembed.weights.sources.known import KNOWN
from minembed.weights.sources.locate import DEFAULT_MODEL, locate

pytestmark = pytest.mark.usefixtures("quiet_machine")
TEXTS = ["the cat", "a dog in the house", "", "rain on the river", "book train code", "Größe 中文 🙂", "the cat"]


def vectors_of(json_lines):
    return np.array([json.loads(line)["embedding"] for line in json_lines.splitlines()])


# --- all commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], *[[name] for name in COMMANDS], ["evaluate", "sts"]], ids=" ".join)
def test_help(command):
    for flag in ("--help", "-h"):
        out, _ = run(*command, flag)
        assert out.startswith("Usage: ") and max(map(len, out.splitlines())) <= 80


def test_help_lists_all_commands():
    out, _ = run("--help")
    assert [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()] == list(COMMANDS)


def test_version():
    assert minembed.__version__ in run("--version")[0]


@pytest.mark.parametrize(
    "args",
    [
        ["sing"],
        ["similarity"],
        ["similarity", "one"],
        ["embed", "one", "-o", "x.txt"],
        ["embed", "-i", "no-such-file.txt"],
        ["embed", "one", "--precision", "int8"],
        ["embed", "one", "--threads", "0"],
        ["embed", "one", "--truncate-dim", "half"],
        ["evaluate", "sts"],
        ["evaluate", "sts", "no-such-file.csv"],
        ["evaluate", "everything"],
        ["doctor", "who"],
    ],
    ids=" ".join,
)
def test_wrong_usage(args):
    out, err = run(*args, code=2)
    assert not out and "Usage: " in err and "Error: " in err


def test_an_error_is_its_message():
    out, err = run("info", "no/such/folder/anywhere", code=1)
    assert not out and err.startswith("minembed: there is no folder no/such/folder/anywhere")


def test_the_model_that_is_not_here_is_asked_for_offline():
    _, err = run("similarity", "a", "b", "--model", "org/name", "--offline", code=1)
    assert err.startswith("minembed: cannot find the model 'org/name'") and "Traceback" not in err


def test_other_errors_of_the_system_are_one_line(tiny_checkpoint, tmp_path):
    _, err = run("embed", "a", "-m", tiny_checkpoint, "-o", tmp_path / "none" / "x.npy", code=1)
    assert err == f"minembed: {tmp_path / 'none' / 'x.npy'}: {os.strerror(errno.ENOENT)}\n"
    (tmp_path / "file").write_bytes(b"")
    _, err = run("embed", "a", "-m", tiny_checkpoint, "-o", tmp_path / "file" / "x.npy", code=1)
    assert err.startswith(f"minembed: {tmp_path / 'file' / 'x.npy'}: ")


def test_warnings_are_one_line(tiny_checkpoint):
    out, err = run("embed", "the cat " * 100, "a", "-m", tiny_checkpoint)
    assert len(out.splitlines()) == 2
    assert re.fullmatch(r"minembed: warning: 1 text\(s\) longer than 32 tokens were cut: .*\n", err)
    assert run("embed", "the cat " * 100, "-m", tiny_checkpoint, "--truncation", "silent")[1] == ""


def test_warnings_of_others_stay_as_they_are():
    with pytest.warns(MinembedWarning, match="ours"):
        with console.one_line_warnings():
            pass
        warnings.warn("ours", MinembedWarning, stacklevel=1)


def test_ctrl_c_is_quiet(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("minembed.weights.sources.locate.locate", interrupted)
    assert run("pull", code=130) == ("", "")


SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture
def handled():
    """Signals as a shell's terminal has them, whoever started the tests."""
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in SIGNALS]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_leave_nothing_behind(handled, monkeypatch, tmp_path, tiny_checkpoint, number):
    monkeypatch.setattr("minembed.cli.embed_file.load_model", lambda *args: signal.raise_signal(number))
    before = signal.getsignal(number)
    run("embed", "a", "-m", tiny_checkpoint, "-o", tmp_path / "x.npy", code=128 + number)
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_swallowed_signal_ends_the_command(handled, monkeypatch, tmp_path, tiny_checkpoint, number):
    """As NumPy's own modules do while they are imported: the interrupt is printed, and an ImportError comes out."""

    def check_numba():
        try:
            signal.raise_signal(number)
        except BaseException:
            pass
        raise ImportError("numpy.core.multiarray failed to import")

    monkeypatch.setattr("minembed.runtime.backend.check_numba", check_numba)
    args = "embed", "a", "-m", tiny_checkpoint, "-o", tmp_path / "x.npy", "--backend", "numba"
    run(*args, code=128 + number)
    assert list(tmp_path.iterdir()) == []


def test_an_ignored_signal_stays_ignored(handled, monkeypatch, tiny_checkpoint):
    """Under nohup, for one."""
    signal.signal(SIGNALS[-1], signal.SIG_IGN)
    monkeypatch.setattr("minembed.cli.pull.command.callback", lambda **options: signal.raise_signal(SIGNALS[-1]))
    run("pull")
    assert signal.getsignal(SIGNALS[-1]) is signal.SIG_IGN


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_what_is_no_file_is_written_to(tmp_path, tiny_checkpoint):
    """A pipe stays a pipe, and a link to a device leads to the device."""
    (tmp_path / "null.jsonl").symlink_to(os.devnull)
    os.mkfifo(tmp_path / "pipe.jsonl")
    run("embed", "a", "-m", tiny_checkpoint, "-o", tmp_path / "null.jsonl")
    assert (tmp_path / "null.jsonl").is_symlink() and Path(os.devnull).is_char_device()
    reader = subprocess.Popen(["cat", tmp_path / "pipe.jsonl"], stdout=subprocess.PIPE, text=True)
    run("embed", "a", "-m", tiny_checkpoint, "-o", tmp_path / "pipe.jsonl")
    assert json.loads(reader.communicate()[0])["text"] == "a"
    assert stat.S_ISFIFO((tmp_path / "pipe.jsonl").stat().st_mode)
    assert leftovers(tmp_path) == []


def test_standard_output_may_be_closed(monkeypatch, tiny_checkpoint):
    monkeypatch.setattr("sys.stdout", None)
    assert not console.prints_to_terminal()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a descriptor that is closed")
@pytest.mark.parametrize("command", [["embed", "a"], ["similarity", "a", "b", "--json"], ["models", "--json"], ["-h"]])
def test_a_closed_standard_output(tiny_checkpoint, command):
    """As after `>&-`: a result that goes nowhere is no success."""
    model = ["-m", tiny_checkpoint, "--backend", "numpy"] if len(command) > 1 and "models" not in command else []
    done = subprocess.run(
        [*MODULE, *command, *model], stderr=subprocess.PIPE, text=True, preexec_fn=lambda: os.close(1), check=False
    )
    assert (done.returncode, done.stderr) == (1, "minembed: standard output is closed\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_help_onto_a_full_disk():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*MODULE, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.splitlines()[0] == "minembed: No space left on device"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_that_lead_in_a_circle(tmp_path, tiny_checkpoint):
    (tmp_path / "a.npy").symlink_to("b.npy")
    (tmp_path / "b.npy").symlink_to("a.npy")
    _, error = run("embed", "a", "-m", tiny_checkpoint, "-o", tmp_path / "a.npy", code=1)
    assert "a.npy" in error and len(error.splitlines()) == 1


# --- as a process ---------------------------------------------------------------------------------------------------


def test_help_does_not_wait_for_heavy_imports(tmp_path):
    script = "import sys; from minembed.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not loaded & {"tokenizers", "safetensors", "huggingface_hub", "tqdm", "threadpoolctl", "numba"}


@pytest.mark.parametrize("utf8", [{}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}], ids=["default", "without-help"])
def test_utf8_in_any_locale(tiny_checkpoint, tmp_path, monkeypatch, utf8):
    for name, value in {"LC_ALL": "C", "LANG": "C", **utf8}.items():
        monkeypatch.setenv(name, value)
    texts = "Größe\n中文 🙂\n"
    command = [*MODULE, "embed", "-m", str(tiny_checkpoint), "--backend", "numpy"]
    done = subprocess.run([*command, "-"], input=texts.encode(), capture_output=True, check=True, cwd=tmp_path)
    assert [json.loads(line)["text"] for line in done.stdout.decode().splitlines()] == texts.split("\n")[:2]
    assert "中文 🙂" in done.stdout.decode()
    done = subprocess.run([*command, "Größe"], capture_output=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout)["text"] == "Größe"


def test_the_reader_of_a_pipe_may_leave(tiny_checkpoint, tmp_path):
    command = [*MODULE, "embed", "-m", str(tiny_checkpoint), "--backend", "numpy", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path) as process:
        process.stdout.close()
        process.stdin.write(b"the cat\n" * 100)
        process.stdin.close()
        assert process.stderr.read() == b"standard input: one text per line (txt, utf-8)\n" and process.wait() != 0


# --- embed ----------------------------------------------------------------------------------------------------------


def test_a_text_that_names_a_file_is_told(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.csv").write_text("text\nrye bread\n")
    out, err = run("embed", "shop.csv", "-m", tiny_checkpoint)
    assert err == "shop.csv is embedded as a text; -i shop.csv reads the file\n"
    assert json.loads(out)["text"] == "shop.csv"


def test_embed_to_the_screen(tiny_checkpoint, tiny_model):
    out, err = run("embed", *TEXTS, "-m", tiny_checkpoint)
    assert err == "" and [json.loads(line)["text"] for line in out.splitlines()] == TEXTS
    np.testing.assert_allclose(vectors_of(out), tiny_model.encode(TEXTS), atol=5.1e-7, rtol=0)  # printed: 6 decimals
    assert re.search(r"\[-?0\.\d{6}, ", out)


def write_inputs(folder):
    """The same texts in every format; the name of each file, and what else has to be said; one of them is blank."""
    rows = "".join(f'{i},"{text}"\n' for i, text in enumerate(TEXTS))
    files = {
        "lines.txt": "\n".join(TEXTS) + "\n",
        "windows.txt": "\ufeff" + "\r\n".join(TEXTS) + "\r\n",
        "strings.jsonl": "\n".join(json.dumps(text) for text in TEXTS),
        "objects.jsonl": "\n\n".join(json.dumps({"id": 1, "text": text}, ensure_ascii=False) for text in TEXTS),
        "field.jsonl": "".join(json.dumps({"body": text}) + "\n" for text in TEXTS),
        "header.csv": "id,text\n" + rows,
        "column.csv": "id,body\n" + rows,
        "first.csv": "".join(f'"{text}",{i}\n' for i, text in enumerate(TEXTS)),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content.encode())
    more = {"first.csv": ["--header", "no", "--field", "1"]}
    return {name: ["--missing", "empty", *more.get(name, [])] for name in files}


def test_embed_reads_every_format(tiny_checkpoint, tiny_model, tmp_path):
    expected = tiny_model.encode(TEXTS)
    for name, options in write_inputs(tmp_path).items():
        _, err = run("embed", "-i", tmp_path / name, "-o", tmp_path / "out.npy", "-m", tiny_checkpoint, *options)
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected, err_msg=name, strict=True)
        told, written = err.splitlines()
        assert told.startswith(f"{tmp_path / name}: {len(TEXTS)} ") and "1 " in told and ' read as "" (' in told
        assert written == f"{tmp_path / 'out.npy'}: {len(TEXTS)} vectors of 32 float32 numbers"


def test_embed_reads_standard_input(tiny_checkpoint, tiny_model):
    expected = tiny_model.encode(TEXTS).round(6)
    lines = "\n".join(TEXTS)
    objects = "\n".join(json.dumps({"text": text}) for text in TEXTS)
    for args, stdin in ([], lines), (["-"], lines), (["-i", "-"], lines), (["-", "--format", "jsonl"], objects):
        out, _ = run("embed", *args, "-m", tiny_checkpoint, "--missing", "empty", stdin=stdin)
        np.testing.assert_allclose(vectors_of(out), expected, atol=1.1e-6, rtol=0)  # both sides are rounded


def test_embed_writes_every_format(tiny_checkpoint, tiny_model, tmp_path):
    expected = tiny_model.encode(TEXTS)
    for name in "out.npy", "out.jsonl", "out.safetensors":
        run("embed", *TEXTS, "-o", tmp_path / name, "-m", tiny_checkpoint)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected, strict=True)
    np.testing.assert_array_equal(load_file(tmp_path / "out.safetensors")["embeddings"], expected, strict=True)
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["text"] for line in lines.splitlines()] == TEXTS
    np.testing.assert_array_equal(vectors_of(lines).astype(np.float32), expected, strict=True)  # every bit


def test_embed_more_than_fits_into_one_block(tiny_checkpoint, tiny_model, tmp_path):
    texts = [f"cat {i}" for i in range(minembed.models.batching.WINDOW + 5)]
    (tmp_path / "in.txt").write_text("\n".join(texts), encoding="utf-8")
    expected = tiny_model.encode(texts)
    for name in "out.npy", "out.safetensors":
        run("embed", "-i", tmp_path / "in.txt", "-o", tmp_path / name, "-m", tiny_checkpoint)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected, strict=True)
    np.testing.assert_array_equal(load_file(tmp_path / "out.safetensors")["embeddings"], expected, strict=True)
    out, _ = run("embed", "-i", tmp_path / "in.txt", "-m", tiny_checkpoint)
    assert [json.loads(line)["text"] for line in out.splitlines()] == texts


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_embed_in_fewer_bits(tiny_checkpoint, tiny_model, tmp_path, precision):
    sample = tiny_model.encode(["cat", "dog", "river house"])
    np.save(tmp_path / "sample.npy", sample)
    expected = quantize_embeddings(tiny_model.encode(TEXTS), precision, calibration_embeddings=sample)
    for name in "out.npy", "out.safetensors", "out.jsonl":
        options = ["--precision", precision, "--calibration", tmp_path / "sample.npy", "-o", tmp_path / name]
        run("embed", *TEXTS, *options, "-m", tiny_checkpoint)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected, strict=True)
    np.testing.assert_array_equal(load_file(tmp_path / "out.safetensors")["embeddings"], expected, strict=True)
    np.testing.assert_array_equal(vectors_of((tmp_path / "out.jsonl").read_text(encoding="utf-8")), expected)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--no-normalize"], {"normalize_embeddings": False}),
        (["--normalize", "--truncate-dim", "5"], {"normalize_embeddings": True, "truncate_dim": 5}),
        (["--prompt", "index query "], {"prompt": "index query "}),
        (["--batch-size", "1", "--threads", "3"], {}),
    ],
    ids=str,
)
def test_embed_options(tiny_checkpoint, tiny_model, tmp_path, options, arguments):
    run("embed", *TEXTS, *options, "-o", tmp_path / "out.npy", "-m", tiny_checkpoint)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), tiny_model.encode(TEXTS, **arguments), strict=True)


def test_embed_a_limit_of_tokens(tiny_checkpoint, tiny_model, tmp_path):
    run("embed", "cat dog tree", "--max-seq-length", 3, "-o", tmp_path / "out.npy", "-m", tiny_checkpoint)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), tiny_model.encode(["cat"]), strict=True)


def test_embed_nothing(tiny_checkpoint, tmp_path):
    assert run("embed", "-", "-m", tiny_checkpoint, stdin="") == (
        "",
        "standard input: one text per line (txt, utf-8)\n",
    )
    for name in "out.npy", "out.safetensors", "out.jsonl":
        run("embed", "-", "-o", tmp_path / name, "-m", tiny_checkpoint, stdin="")
    assert np.load(tmp_path / "out.npy").shape == (0, 32)
    assert load_file(tmp_path / "out.safetensors")["embeddings"].shape == (0, 32)
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_a_lone_surrogate_stays_valid_json(tiny_checkpoint, tmp_path):
    (tmp_path / "in.jsonl").write_text('"a \\ud800 cat"', encoding="utf-8")
    run("embed", "-i", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "-m", tiny_checkpoint)
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["text"] == "a \ud800 cat"


def test_preview_fits_the_terminal():
    from minembed.data.vectors import preview

    block = np.random.default_rng(5).standard_normal((2, 384), dtype=np.float32)
    lines = list(preview(["short", "a  long\ntext " * 20], block, columns=80))
    assert lines[0].endswith("384 numbers]  short") and len(lines[1]) == 80 and lines[1].endswith("...")
    assert "127" in next(preview(["a"], np.array([[127, -128]], np.int8), columns=80))


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("x.txt", b"one\ntw\xff\n", [], "x.txt, line 2: not utf-8; b'tw\\xff' is 'twÿ' in cp1252 and"),
        ("x.jsonl", b'"one"\n{"text": }\n', [], "x.jsonl, line 2: not JSON"),
        ("x.jsonl", b'{"text": "one"}\n\n{"body": "two"}', [], "'text' is missing in 1 of 2 rows (line 3); --missing"),
        ("x.jsonl", b"[1]", [], "x.jsonl, line 1: it must be an object or a text, not a JSON array"),
        ("x.jsonl", b'{"text": 5}', [], "x.jsonl, line 1: 'text' is 5 (int), not a text"),
        ("x.jsonl", b"[" * 100_000, [], "x.jsonl, line 1: not JSON"),
        ("x.csv", b"text\none\ntwo,three\n", [], "x.csv, line 3: 2 cells where the first row has 1"),
        ("x.csv", b"text,id\none,1\n", ["--field", "body"], "x.csv: there is no column 'body'; name one with --field:"),
        ("x.csv", b'text\none\n"two\n', [], "x.csv, line 3: not sound CSV"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_named_and_leaves_the_old_file(tiny_checkpoint, tmp_path, name, content, options, message):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "out.npy").write_bytes(b"old")
    arguments = ["-i", tmp_path / name, "-o", tmp_path / "out.npy", "-m", tiny_checkpoint]
    _, err = run("embed", *arguments, *options, code=1)
    assert message in err and (err.count("\n") == 1 or "--field:" in err)
    assert (tmp_path / "out.npy").read_bytes() == b"old" and leftovers(tmp_path) == []


def test_a_text_too_long_can_be_an_error(tiny_checkpoint, tmp_path):
    arguments = ["-o", tmp_path / "out.npy", "-m", tiny_checkpoint, "--truncation", "error"]
    _, err = run("embed", "a", "the cat " * 100, *arguments, code=1)
    assert "text 2: the text has more than 32 tokens" in err and list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tiny_checkpoint, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    (tmp_path / "out.npy").write_bytes(b"old")
    _, err = run("embed", "a", "-o", tmp_path / "out.npy", "-m", tiny_checkpoint, code=1)
    assert err == f"minembed: {tmp_path / 'out.npy'}: No space left on device\n"
    assert (tmp_path / "out.npy").read_bytes() == b"old" and leftovers(tmp_path) == []


def test_output_goes_through_a_link_and_keeps_its_mode(tiny_checkpoint, tmp_path):
    target = tmp_path / "target.npy"
    target.write_bytes(b"old")
    target.chmod(0o600)
    (tmp_path / "link.npy").symlink_to(target)
    run("embed", "a", "-o", tmp_path / "link.npy", "-m", tiny_checkpoint)
    assert (tmp_path / "link.npy").is_symlink() and np.load(target).shape == (1, 32)
    assert target.stat().st_mode & 0o777 == 0o600


def test_bad_calibration(tiny_checkpoint, tmp_path):
    options = ["--precision", "int8", "-m", tiny_checkpoint, "--calibration"]
    (tmp_path / "text.npy").write_bytes(b"not an array")
    np.save(tmp_path / "flat.npy", np.zeros(5, np.float32))
    np.save(tmp_path / "narrow.npy", np.zeros((2, 5), np.float32))
    assert "is not a .npy file" in run("embed", "a", *options, tmp_path / "text.npy", code=1)[1]
    assert "must hold float vectors" in run("embed", "a", *options, tmp_path / "flat.npy", code=1)[1]
    assert "ranges must have shape (2, 32)" in run("embed", "a", *options, tmp_path / "narrow.npy", code=1)[1]


def test_files_that_are_no_array(tmp_path):
    place = tmp_path / "a.npy"
    for shape in ("(1000000000000000000000000000000, 2)", "(99999999999, 2)", "(4611686018427387904, 4)", "(True, 2)"):
        facts = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
        place.write_bytes(b"\x93NUMPY\1\0" + len(facts).to_bytes(2, "little") + facts + bytes(64))
        with pytest.raises(InputError, match=r"a\.npy is not a \.npy file"):
            open_npy(place)
    np.savez(tmp_path / "a.npz", np.eye(2))
    with pytest.raises(InputError, match="an archive"):
        open_npy(tmp_path / "a.npz")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.npy")
        with pytest.raises(InputError, match=r"pipe\.npy cannot be read \(it is no regular file\)"):
            open_npy(tmp_path / "pipe.npy")


def test_parquet_names_its_extra(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "in.parquet").write_bytes(b"PAR1")
    for args in ["-i", tmp_path / "in.parquet"], ["a", "-o", tmp_path / "out.parquet"]:
        _, err = run("embed", *args, "-m", tiny_checkpoint, code=1)
        assert err == "minembed: parquet and feather files need pyarrow: pip install 'minembed[arrow]'\n"
    assert not (tmp_path / "out.parquet").exists()


def test_texts_come_from_one_place(tmp_path):
    (tmp_path / "in.txt").write_text("a")
    assert "not both" in run("embed", "a", "-i", tmp_path / "in.txt", code=2)[1]


# --- similarity and demo --------------------------------------------------------------------------------------------


def test_similarity_of_two(tiny_checkpoint, tiny_model):
    a, b = tiny_model.encode(["the cat", "a dog"])
    out, _ = run("similarity", "the cat", "a dog", "-m", tiny_checkpoint)
    assert out.startswith(f"{float(a @ b):.4f}  ") and DEFAULT_MODEL in out  # the scale in words is that model's


def test_similarity_of_more(tiny_checkpoint, tiny_model):
    vectors = tiny_model.encode(TEXTS)
    out, _ = run("similarity", *TEXTS, "-m", tiny_checkpoint, "--json")
    found = json.loads(out)
    assert found["texts"] == TEXTS
    np.testing.assert_allclose(found["cosine"], cosine_similarity(vectors, vectors), atol=1e-6, rtol=0)  # 6 decimals
    out, _ = run("similarity", *TEXTS, "-m", tiny_checkpoint)
    lines = out.splitlines()
    rows = np.array([line.split()[1:] for line in lines[1 : 1 + len(TEXTS)]], dtype=float)
    np.testing.assert_allclose(rows, found["cosine"], atol=0.00501)  # two decimals
    assert lines[-1] == "  7  the cat"


def test_demo_prints_what_it_computes(tiny_checkpoint, tiny_model):
    out, _ = run("demo", "-m", tiny_checkpoint)
    assert max(map(len, out.splitlines()[1:])) <= 80 and "\x1b" not in out  # the first line has the folder
    vectors = tiny_model.encode(COOKING + PROGRAMMING, truncation="silent")
    cosines = cosine_similarity(vectors, vectors)
    labels = [f"{topic}{i}" for topic in "CP" for i in range(1, 6)]
    matrix = [line.split()[1:] for line in out.splitlines() if re.match(r"  [CP]\d [ -]", line) and "." in line[:10]]
    np.testing.assert_allclose(np.array(matrix, dtype=float), cosines, atol=0.00501)  # two decimals
    others = cosines - 9 * np.eye(10)
    for i, j in enumerate(others.argmax(axis=1).tolist()):
        assert f"  {labels[i]} -> {labels[j]}  {cosines[i, j]:.3f}  {(COOKING + PROGRAMMING)[j]}\n" in out
    pairs = [(i // 5 == j // 5, cosines[i, j]) for i in range(10) for j in range(i)]
    within, across = ([c for same, c in pairs if same is wanted] for wanted in (True, False))
    assert len(within) == 20 and len(across) == 25
    assert f"mean {np.mean(within):6.3f}, lowest  {min(within):6.3f}\n" in out
    assert f"mean {np.mean(across):6.3f}, highest {max(across):6.3f}\n" in out


@pytest.mark.parametrize("depth", ["truecolor", "256"])
def test_demo_in_colour_says_the_same(tiny_checkpoint, depth):
    plain, _ = run("demo", "-m", tiny_checkpoint)
    out, _ = run("demo", "-m", tiny_checkpoint, "--color", depth)
    bare = ANSI.sub("", out)
    assert bare != out and max(map(len, bare.splitlines()[1:])) <= 80
    assert set(line.rstrip() for line in plain.splitlines()) <= {line.rstrip() for line in bare.splitlines()}
    assert all(line.endswith("\x1b[0m") or "\x1b" not in line.rpartition("\x1b[0m")[2] for line in out.splitlines())


class Terminal:
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "depth"),
    [
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, "truecolor"),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "never"),
        ({"TERM": "dumb"}, "never"),
    ],
)
def test_colours_are_those_of_the_terminal(monkeypatch, environ, depth):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert heatmap.colour_depth("auto", Terminal()) == depth
    assert heatmap.colour_depth("auto", None) == "never"


def contrast(a, b):
    dark, light = sorted(map(heatmap.luminance, (a, b)))
    return (light + 0.05) / (dark + 0.05)


def rgb_of(code):
    """The colours that a cell asks for, background and text."""
    numbers = [int(n) for n in re.findall(r"\d+", code.partition("m")[0])]
    if numbers[1] == 2:
        return numbers[2:5], numbers[7:10]
    return tuple([heatmap.CUBE[i // d % 6] for d in (36, 6, 1)] for i in (numbers[2] - 16, numbers[5] - 16))


@pytest.mark.parametrize("depth", ["truecolor", "256"])
def test_the_ramp_reads_with_any_eyes(depth):
    cells = [rgb_of(heatmap.paint("x", i / 200, depth)) for i in range(201)]
    assert min(contrast(*cell) for cell in cells) >= 4.5  # WCAG 2 AA for text
    light = [heatmap.luminance(background) for background, _ in cells]
    if depth == "truecolor":
        assert all(a < b for a, b in pairwise(light))
    assert light[-1] - light[0] > 0.6


# --- models, pull, info ---------------------------------------------------------------------------------------------


def test_models(tiny_checkpoint):
    own_copy(tiny_checkpoint, DEFAULT_MODEL)
    out, _ = run("models")
    marked = [line.split()[1] for line in out.splitlines() if line.startswith("* ")]
    assert marked == [DEFAULT_MODEL]
    assert all(len(line) <= 80 for line in out.splitlines())
    computed, refused = out.split("Not supported")
    for model in KNOWN:
        assert f" {model.name} " in (computed if model.computed else refused)
        assert model.refused in refused and model.note in computed
    real = [line.lstrip("* ").split()[0] for line in computed.splitlines() if line.endswith(" real")]
    assert real == [model.name for model in KNOWN if model.tested]
    expected = [{**asdict(model), "computed": model.computed} for model in KNOWN]
    assert json.loads(run("models", "--json")[0]) == expected


def test_the_table_of_models_is_sound():
    names = [model.name for model in KNOWN]
    assert len(set(names)) == len(names) >= 30 and model_choice.DEFAULT_MODEL == DEFAULT_MODEL == names[0]
    for model in KNOWN:
        assert model.width is None or (model.width % 64 == 0 and 256 <= model.width <= 1024)
        assert model.max_tokens is None or 0 < model.max_tokens <= 32768
        assert 25 < model.megabytes < 2500 and model.licence and model.computed >= model.tested
        assert model.pooling in POOLING
        assert not model.computed or model.family in {*FAMILIES, "static"}
    assert [model.name for model in KNOWN if model.tested] == [DEFAULT_MODEL, "all-mpnet-base-v2"]
    assert {*FAMILIES} - {model.family for model in KNOWN} == {"albert", "camembert", "electra"}


@pytest.mark.parametrize("model", KNOWN, ids=lambda model: model.name)
def test_known_names_resolve_as_in_sentence_transformers(model, tiny_checkpoint):
    bare = "/" not in model.name
    folder = own_folder(f"sentence-transformers/{model.name}" if bare else model.name)
    shutil.copytree(tiny_checkpoint, folder)
    assert locate(model.name, local_files_only=True).folder == folder


def own_copy(checkpoint, name="tiny"):
    """Put a checkpoint into minembed's cache, as a pull would."""
    folder = own_folder(f"sentence-transformers/{name}")
    shutil.copytree(checkpoint, folder)
    return folder


def test_pull_says_what_is_where(tiny_checkpoint):
    folder = own_copy(tiny_checkpoint)
    lines = run("pull", "tiny")[0].splitlines()
    assert lines[:2] == [str(folder), "source: minembed cache"]
    found = {name: (size.replace(",", ""), digest) for size, digest, name in map(str.split, lines[3:])}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert found == {
        path.relative_to(folder).as_posix(): (str(path.stat().st_size), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    }


def test_pull_offline_says_where_it_looked():
    _, err = run("pull", "--offline", code=1)
    assert "minembed cache: no " in err and "package mirror: not asked" in err


def test_info(tiny_checkpoint, tiny_model):
    facts = tiny_model.info()
    assert json.loads(run("info", tiny_checkpoint, "--json")[0]) == json.loads(json.dumps(facts))
    lines = [line.split() for line in run("info", tiny_checkpoint)[0].splitlines()]
    assert ["dimension", "32"] in lines and ["hidden_size", "32"] in lines and ["pooling", "mean"] in lines
    assert ["revision", "-"] in lines and ["folder", str(tiny_checkpoint)] in lines


# --- evaluate -------------------------------------------------------------------------------------------------------

PAIRS = [
    Pair("the cat", "a cat", 5.0),
    Pair("a dog, or two", 'the "dog"', 4.5),
    Pair("rain", "code test", 0.0),
    Pair("the cat", "a tree\nand a house", 1.25),
    Pair("book", "train river", -1e-3),
]


def write_pairs(folder):
    def quoted(*cells):
        return ",".join('"' + str(cell).replace('"', '""') + '"' for cell in cells) + "\r\n"

    objects = [{"Text 1": a, "text2": b, "LABEL": score, "id": 7} for a, b, score in PAIRS]
    files = {
        "bare.csv": "".join(quoted(*pair) for pair in PAIRS),
        "header.csv": "\ufeffsplit,score,sentence_2,Sentence1\r\n"
        + "".join(quoted("dev", score, b, a) for a, b, score in PAIRS),
        "label.csv": "text1,text2,label\r\n" + "\r\n".join(quoted(*pair) for pair in PAIRS),
        "objects.jsonl": "\n".join(json.dumps(value) for value in objects),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content.encode())
    return [folder / name for name in files]


def test_evaluate_reads_every_form(tmp_path):
    for path in write_pairs(tmp_path):
        assert read_sts(path) == PAIRS, path.name


def test_evaluate_sts(tiny_checkpoint, tiny_model, tmp_path):
    path = write_pairs(tmp_path)[0]
    a, b, gold = zip(*PAIRS, strict=True)
    cosines = tiny_model.similarity_pairwise(tiny_model.encode(a), tiny_model.encode(b))
    found = json.loads(run("evaluate", "sts", path, "-m", tiny_checkpoint, "--json")[0])
    assert found["pairs"] == len(PAIRS)
    assert found["spearman"] == spearman(cosines, gold) and found["pearson"] == pearson(cosines, gold)
    out, _ = run("evaluate", "sts", path, "-m", tiny_checkpoint)
    assert "5 pairs, scores from -0.001 to 5\n" in out
    assert f"Spearman  {found['spearman']:7.4f}  ({100 * found['spearman']:.2f})\n" in out


def test_evaluate_sts_of_named_columns(tiny_checkpoint, tmp_path):
    path = tmp_path / "x.csv"
    rows = [('"the cat', "a\u00e4 cat", 5), ("a dog", 'the "dog"', 4), ("rain", "code", 0), ("", "x", 1)]
    path.write_bytes("".join(f"{i}|{a}|{b}|{score}\n" for i, (a, b, score) in enumerate(rows)).encode("latin-1"))
    options = "--encoding", "latin-1", "--delimiter", "bar", "--header", "no", "--quotes", "no", "--columns", "2,3"
    arguments = "evaluate", "sts", path, "-m", tiny_checkpoint, *options, "--score", "4"
    _, err = run(*arguments, code=1)
    assert "x.csv: '2' is missing in 1 of 4 rows (line 4); --missing skip skips them" in err
    out, err = run(*arguments, "--missing", "skip")
    assert err == (
        f'{path}: 4 rows, columns "2", "3", "4", 1 with something missing left out '
        '(csv, "|", iso8859-1, quotes are text, no heading)\n'
    )
    assert "3 pairs, scores from 0 to 5\n" in out
    assert "separate names by commas" in run(*arguments[:-2], "--columns", "a,,b", code=2)[1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "a,b,1\nc,d,high\n", "line 2: '3' is 'high', not a finite number"),
        ("x.csv", "a,b,1\nc,d,nan\n", "line 2: '3' is 'nan', not a finite number"),
        ("x.csv", "a,b,1\nc,d\n", "line 2: 2 cells where the first row has 3"),
        ("x.csv", "a,b,1\nc,d,2,3\n", "line 2: 4 cells where the first row has 3"),
        (
            "x.csv",
            "first,second,score\na,b,1\n",
            "no column is the first text (sentence1); say which with --columns A,B:\n  first   'a'",
        ),
        ("x.csv", "a,b\n", "does its first row name the columns? Say --header yes or --header no"),
        ("x.csv", "a,b,1\n", "holds 1 pairs"),
        ("x.csv", "", "holds 0 pairs"),
        ("x.csv", "a,b,1\nc,d,1\n", "all 2 values of y are 1"),
        ("x.csv", 'a,b,1\n"c,d,1\n', "line 2: not sound CSV"),
        (
            "x.jsonl",
            '{"sentence1": "a", "sentence2": "b"}',
            "no column is the score; say which with --score NAME:\n  sentence1  'a'",
        ),
        (
            "x.jsonl",
            '{"sentence1": "a", "sentence2": null, "score": 1}',
            "'sentence2' is missing in 1 of 1 rows (line 1); --missing skip skips them",
        ),
        ("x.jsonl", '{"sentence1": "a", "sentence2": "b", "score": true}', "line 1: 'score' is True, not a finite"),
        ("x.jsonl", "[]", "line 1: it must be an object or a text, not a JSON array"),
    ],
)
def test_bad_pairs_are_named(tiny_checkpoint, tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    _, err = run("evaluate", "sts", tmp_path / name, "-m", tiny_checkpoint, code=1)
    told, failed = err.split("minembed: ")  # how the file is read, where it could be, and what is wrong
    assert message in failed and told.count("\n") <= 1 and failed.count("\n") <= 4
    assert name in err


# --- doctor ---------------------------------------------------------------------------------------------------------


def test_doctor(tiny_checkpoint):
    out, _ = run("doctor", "-m", tiny_checkpoint)
    for word in ("minembed", "python", "numpy", "BLAS", "cores", "cache", str(tiny_checkpoint)):
        assert re.search(rf"^(model +tiny in )?.*{re.escape(word)}", out, re.M)
    assert "0 of 256 vectors differ" in out and out.endswith("Yes: identical to the last bit.\n")
    found = json.loads(run("doctor", "-m", tiny_checkpoint, "--json")[0])
    assert found["self_test"]["passed"] and found["minembed"] == minembed.__version__
    assert "AMX" in found["tiles"] and f"tiles            {found['tiles']}\n" in out


def test_doctor_without_the_model():
    out, _ = run("doctor")
    assert f"{DEFAULT_MODEL} is not on this machine" in out and "random weights of MiniLM's shape" in out
    assert out.endswith("Yes: identical to the last bit.\n")


@pytest.mark.parametrize(
    ("setting", "expected"), [("amx", "none, MINEMBED_DISABLE leaves AMX out"), ("xma", "MINEMBED_DISABLE names 'xma'")]
)
def test_doctor_tells_what_is_disabled(setting, expected):
    script = "from minembed.cli.doctor import kernels; print(kernels())"
    found = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"MINEMBED_DISABLE": setting}, capture_output=True, text=True
    )
    assert expected in found.stdout and not found.stderr


@pytest.mark.parametrize(
    "fault", [{"different": 3}, {"encoder_rows": 16}, {"encoder_rows": None}], ids=["vectors", "rows", "never"]
)
def test_doctor_finds_fault(tiny_checkpoint, monkeypatch, fault):
    found = replace(selftest.Invariance(safe_rows=2, encoder_rows=1, rounds=4, vectors=256, different=0), **fault)
    monkeypatch.setattr(selftest, "check", lambda model: found)
    out, _ = run("doctor", "-m", tiny_checkpoint, code=1)
    assert "NO: the last bits" in out and "batch_size=1" in out
    assert not json.loads(run("doctor", "-m", tiny_checkpoint, "--json", code=1)[0])["self_test"]["passed"]


def test_doctor_names_a_damaged_model(tiny_checkpoint, tmp_path, monkeypatch):
    sound = selftest.Invariance(safe_rows=2, encoder_rows=1, rounds=4, vectors=256, different=0)
    monkeypatch.setattr(selftest, "check", lambda model: sound)  # which test_doctor_without_the_model computes
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_checkpoint, damaged)
    (damaged / "tokenizer.json").write_text("{")
    out, _ = run("doctor", "-m", damaged, code=1)
    assert "damaged cannot be used" in out and "tokenizer.json" in out and "Yes: identical" in out


def test_doctor_looks_at_the_cache(monkeypatch, tmp_path):
    from minembed.cli.doctor import cache

    monkeypatch.setenv("MINEMBED_CACHE", str(tmp_path / "a" / "b"))
    assert cache() == {"cache": f"{tmp_path / 'a' / 'b'} (writable)"} and list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("a file where a folder should be")
    assert "NOT writable" in cache()["cache"]


def test_the_self_test_sees_company():
    def alone(texts, batch_size, threads):
        return np.array(texts, dtype=np.float32)[:, None] + np.zeros((1, 4), np.float32)

    def last_bit(texts, batch_size, threads):
        return alone(texts, batch_size, threads) * np.float32(1 + 2**-23 * (len(texts) > 1))

    assert selftest.compare(alone, texts=8, rounds=3) == (24, 0)
    assert selftest.compare(last_bit, texts=8, rounds=3) == (24, 21)  # 0 * anything is 0, in each round


@pytest.mark.parametrize(("unsafe", "expected"), [(0, 1), (1, 2), (3, 4), (10, 12), (384, None)])
def test_the_self_test_finds_the_safe_number_of_rows(unsafe, expected):
    def multiply(x, weight):
        return x[:, :3] + np.float32(len(x) <= unsafe)

    assert selftest.smallest_safe_rows(selftest.MINILM, multiply) == expected


# --- the real model -------------------------------------------------------------------------------------------------


@pytest.mark.weights
def test_the_real_demo(minilm):
    out, _ = run("demo")
    assert "10 of 10 within their own topic" in out
    numbers = {name: float(value) for name, value in re.findall(r"(\w+ ?\w*: +mean) +([\d.-]+)", out)}
    within, across = numbers.values()
    assert within > 0.25 and across < 0.1 and within > across  # 0.32 and 0.03 as measured


@pytest.mark.weights
def test_the_real_vectors(minilm_as, tmp_path):
    run("embed", *TEXTS, "-o", tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), minilm_as("auto").encode(TEXTS), strict=True)


@pytest.mark.weights
def test_the_real_evaluation(minilm, tmp_path):
    rows = [
        ("A man is playing a guitar.", "A man plays the guitar.", 5),
        ("A dog runs in the park.", "A puppy is running outside.", 4),
        ("A woman is slicing an onion.", "A woman is cutting a tomato.", 2.5),
        ("The bank raised its interest rates.", "A boat lies at the bank of the river.", 1),
        ("The train is late.", "Photosynthesis needs light.", 0),
    ]
    path = tmp_path / "pairs.csv"
    path.write_text("".join(f"{a},{b},{score}\n" for a, b, score in rows), encoding="utf-8")
    first, second, gold = zip(*rows, strict=True)
    cosines = minilm.similarity_pairwise(minilm.encode(first), minilm.encode(second))
    found = json.loads(run("evaluate", "sts", path, "--json")[0])
    assert found["spearman"] == spearman(cosines, gold) > 0.8


@pytest.mark.weights
def test_the_real_doctor_and_pull(minilm):
    assert f"{DEFAULT_MODEL} in {locate(DEFAULT_MODEL).folder}" in run("doctor")[0]
    out, _ = run("pull", "--offline")
    assert re.search(r"90,868,376  53aa51172d142c89\w+  model\.safetensors$", out, re.M)


@pytest.mark.weights
def test_the_real_similarity(minilm):
    cosine, words = run("similarity", "A man is eating food.", "A man is eating a meal.")[0].strip().split("  ")
    assert float(cosine) > 0.8 and words in ("nearly the same meaning", "the same meaning")
