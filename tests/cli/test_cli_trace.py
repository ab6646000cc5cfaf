"""`minembed trace`: the numbers of the library in the terminal, and what it refuses."""

import re

import numpy as np
import pytest
import static_cases
from command import ANSI, run
from safetensors.numpy import load_file

from minembed.study import trace

pytestmark = pytest.mark.usefixtures("quiet_machine")
TEXT = "the cat in a tree"


def test_tokens_steps_and_attention(tiny_checkpoint, tiny_model):
    t = trace(tiny_model, TEXT)
    out, _ = run("trace", TEXT, "-m", tiny_checkpoint)
    tokens, steps, attention = (part.splitlines() for part in out.rstrip().split("\n\n"))
    for i, line in enumerate(tokens[1:]):
        assert line.split()[:3] == [str(i), t.pieces[i], str(t.tokens.ids[i])]
        assert line.endswith("special") == t.special[i]
    assert steps[0].startswith(f"{len(t)} steps in float32, computed by NumPy")
    listed = [line.split()[0] for line in steps[1:-1]]
    assert listed == [name for name in t if not name.startswith("layer.1")]
    assert all(t.steps[name].source in line for name, line in zip(listed, steps[1:], strict=False))
    assert steps[-1] == "(layers 1 to 1 have the same steps as layer 0; to list them: --names 'layer.1*')"
    assert attention[0].startswith("attention of layer 1, mean of 4 heads")
    rows = np.array([line.split()[2:] for line in attention[2:]], dtype=float)
    np.testing.assert_allclose(rows, 100 * t["layer.1.probabilities"].mean(axis=0), atol=0.501)  # whole percents


def test_names_a_head_and_a_file(tiny_checkpoint, tiny_model, tmp_path):
    t, file = trace(tiny_model, TEXT), tmp_path / "t.safetensors"
    options = ("--names", "layer.0.pro*", "--names", "vector", "--layer", "1", "--head", "2", "--save", file)
    out, _ = run("trace", TEXT, "-m", tiny_checkpoint, *options)
    _, steps, attention, saved = (part.splitlines() for part in out.rstrip().split("\n\n"))
    assert [line.split()[0] for line in steps[1:]] == ["layer.0.probabilities", "vector"]
    assert attention[0].startswith("attention of layer 1, head 2")
    rows = np.array([line.split()[2:] for line in attention[2:]], dtype=float)
    np.testing.assert_allclose(rows, 100 * t["layer.1.probabilities"][2], atol=0.501)
    assert saved == [f"2 arrays are in {file}"]
    arrays = load_file(file)
    assert set(arrays) == {"layer.0.probabilities", "vector"}
    np.testing.assert_array_equal(arrays["vector"], t["vector"])


def test_a_file_of_another_kind_is_refused_before_anything_is_computed(tiny_checkpoint, tmp_path):
    out, err = run("trace", TEXT, "-m", tiny_checkpoint, "--save", tmp_path / "t.txt", code=1)
    assert not out and "t.txt: a trace is written as safetensors" in err and not list(tmp_path.iterdir())


def test_colours_change_nothing_else(tiny_checkpoint):
    plain, _ = run("trace", TEXT, "-m", tiny_checkpoint)
    for depth in ("truecolor", "256"):
        coloured, _ = run("trace", TEXT, "-m", tiny_checkpoint, "--color", depth)
        assert "\x1b[48" in coloured and ANSI.sub("", coloured) == plain


def test_a_long_text_fits_the_screen(tiny_checkpoint):
    out, _ = run("trace", "cat dog " * 14, "-m", tiny_checkpoint)
    picture = out[out.index("attention of layer") :].splitlines()
    assert len(picture) == 27 and picture[-1] == "(the first 24 of 30 tokens)"
    assert max(map(len, picture[1:])) < 120


def test_what_a_terminal_must_not_run(tiny_checkpoint):
    out, _ = run("trace", "a \x1b[2J b \x07", "-m", tiny_checkpoint)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)


def test_static_models_have_no_picture(tmp_path):
    folder = static_cases.write_static(tmp_path / "s", next(iter(static_cases.STATIC)))
    out, _ = run("trace", "hello world", "-m", folder)
    assert "embeddings.word" in out and "attention" not in out


@pytest.mark.parametrize("options", [("--layer", "2"), ("--head", "4"), ("--layer", "-1")])
def test_layers_that_are_not_there(tiny_checkpoint, options):
    out, err = run("trace", TEXT, "-m", tiny_checkpoint, *options, code=2)
    assert not out and ("2 layers (0 to 1) of 4 heads (0 to 3)" in err or "x>=0" in err)


def test_names_that_fit_nothing(tiny_checkpoint):
    _, err = run("trace", TEXT, "-m", tiny_checkpoint, "--names", "layer.9.*", code=1)
    assert "'layer.9.*' fits no intermediate result" in err and "Traceback" not in err
