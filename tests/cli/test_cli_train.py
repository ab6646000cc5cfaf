"""`minembed train`: from files to a folder with a trained model, resumed, and what is wrong said in one line."""

import json
import os
import random
import shutil
from functools import partial

import command
import numpy as np
import pytest

from minembed import Embedder
from minembed.cli.train_contrastive import LOSS_NAMES, NEED_LABELS
from minembed.cli.train_mlm import SIZE_NAMES
from minembed.cli.training import SCHEDULE_NAMES, notes_of
from minembed.errors import TrainingError
from minembed.train import checkpoints, contrastive, losses, schedules, scratch, trainer
from minembed.train.settings import Settings

WORDS = ["cat", "dog", "river", "tree", "house", "rain", "book", "train"]
PAIRS = "anchor,positive\n" + "".join(f"the {a} {b},a {a} and a {b}\n" for a in WORDS[:4] for b in WORDS[4:])
SCORED = "sentence1,sentence2,score\n" + "".join(f"the {a},a {b},{5 - abs(i - j)}\n" for i, a in enumerate(WORDS) for j, b in enumerate(WORDS) if i < 3)  # fmt: skip  # noqa: E501


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch, tmp_path):
    """No caches and no network."""
    for name in ("MINEMBED_CACHE", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


run = partial(command.run, "train")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "pairs.csv").write_text(PAIRS)
    (tmp_path / "scored.csv").write_text(SCORED)
    return tmp_path


OPTIONS = ("--batch-size", 4, "--learning-rate", 1e-3, "--backend", "numpy", "--threads", 1)


def test_names_are_those_of_the_library():
    assert set(LOSS_NAMES) == set(losses.LOSSES) - {"info_nce"} and LOSS_NAMES[0] == Settings().loss
    assert NEED_LABELS == losses.NEED_LABELS and set(contrastive.BOUNDS) < set(NEED_LABELS)
    assert set(SIZE_NAMES) == set(scratch.SIZES)
    assert set(SCHEDULE_NAMES) == set(schedules.SCHEDULES) and SCHEDULE_NAMES[0] == Settings().schedule


@pytest.mark.parametrize("name", [[], ["contrastive"], ["mlm"]])
def test_help(name):
    out, _ = run(*name, "--help")
    assert out.startswith("Usage: ") and max(map(len, out.splitlines())) <= 80


def test_pairs(files, tiny_checkpoint):
    out, _ = run("contrastive", files / "pairs.csv", files / "run", "-m", tiny_checkpoint, *OPTIONS, "--epochs", 2)
    assert out == f"16 examples, 8 steps\nthe trained model is in {files / 'run' / 'model'}\n"
    vectors = [Embedder.load(folder, backend="numpy").encode(["the cat"]) for folder in (tiny_checkpoint, files / "run" / "model")]  # fmt: skip  # noqa: E501
    assert vectors[0].shape == vectors[1].shape and not np.array_equal(*vectors)
    card = (files / "run" / "model" / "README.md").read_text()
    assert "on 16 examples of `pairs.csv`, 8 steps" in card and "| learning_rate | 0.001 |" in card
    assert "mask_probability" not in card and "threads" not in card


def test_scored_pairs(files, tiny_checkpoint):
    arguments = "contrastive", files / "scored.csv", files / "run", "-m", tiny_checkpoint, *OPTIONS, "--loss", "cosent"
    found = json.loads(run(*arguments, "--epochs", 3, "--evaluate", files / "scored.csv", "--json")[0])
    assert found["examples"] == 24 and found["steps"] == 18 and found["skipped"] == 0
    assert found["spearman"] > found["spearman_before"] and found["best_step"] in (6, 12, 18)
    lines = [json.loads(line) for line in (files / "run" / "history.jsonl").read_text().splitlines()]
    assert max(line.get("score", -1) for line in lines) == found["spearman"]
    card = (files / "run" / "model" / "README.md").read_text()
    assert f"{found['spearman_before']:.4f} before, {found['spearman']:.4f} after" in card


def test_tables_of_others(files, tiny_checkpoint):
    """Named columns of a table with semicolons in another encoding, with an evaluation of another form; all is told."""
    rows = [line.split(",") for line in PAIRS.splitlines()[1:]]
    table = "nr;kundenfrage;antwort\n" + "".join(f"{i};{a} ä;{b}\n" for i, (a, b) in enumerate(rows)) + "99;;x\n"
    (files / "faq.csv").write_bytes(table.encode("latin-1"))
    (files / "held.jsonl").write_text("".join(json.dumps({"f": a, "a": b, "wert": 1}) + "\n" for a, b in rows))
    options = "-m", tiny_checkpoint, *OPTIONS, "--columns", "kundenfrage,3", "--encoding", "latin-1"
    evaluation = "--evaluate", files / "held.jsonl", "--evaluate-columns", "f,a"
    arguments = "contrastive", files / "faq.csv", files / "run", *options, *evaluation
    _, err = run(*arguments, code=1)
    assert "faq.csv: 'kundenfrage' is missing in 1 of 17 rows (line 18); --missing skip skips them" in err
    out, err = run(*arguments, "--missing", "skip")
    assert err.splitlines()[:2] == [
        f'{files / "faq.csv"}: 17 rows, columns "kundenfrage", "antwort", 1 with something missing left out '
        '(csv, ";", iso8859-1)',
        f'{files / "held.jsonl"}: 16 rows, columns "f", "a" (jsonl, utf-8)',
    ]
    assert out.startswith("16 examples, 4 steps\nnDCG@10 x 100 on ")


@pytest.mark.parametrize("heading", ["", "sentence1,sentence2,score\n"])
def test_options_hold_for_an_evaluation_that_needs_them(heading, files, tiny_checkpoint):
    """A heading is none of its pairs, and UTF-8 stays UTF-8, whatever is said of the examples."""
    (files / "x.csv").write_bytes("".join(f"{a} ä;{a}\n" for a in WORDS).encode("latin-1"))
    (files / "dev.csv").write_text(heading + "".join(f"{a} ä,{a},{i}\n" for i, a in enumerate(WORDS)), "utf-8")
    options = (
        "-m",
        tiny_checkpoint,
        *OPTIONS,
        "--header",
        "no",
        "--encoding",
        "latin-1",
        "--evaluate",
        files / "dev.csv",
    )
    _, err = run("contrastive", files / "x.csv", files / "run", *options, "--loss", "multiple_negatives_ranking")
    how = (
        '"sentence1", "sentence2", label "score" (csv, ",", utf-8'
        if heading
        else '"1", "2", label "3" (csv, ",", utf-8'
    )
    assert err.splitlines()[1].startswith(f"{files / 'dev.csv'}: 8 rows, columns {how}")
    (files / "held.csv").write_bytes("".join(f"{a} ä,{a}\n" for a in WORDS).encode("latin-1"))
    options = *options[:-1], files / "held.csv"
    _, err = run("contrastive", files / "x.csv", files / "other", *options)
    assert err.splitlines()[1] == f'{files / "held.csv"}: 8 rows, columns "1", "2" (csv, ",", iso8859-1, no heading)'


def test_evaluations_are_not_guessed(files, tiny_checkpoint):
    (files / "held.csv").write_text("frage,antwort\na,b\nc,d\n")
    arguments = (
        "contrastive",
        files / "pairs.csv",
        files / "run",
        "-m",
        tiny_checkpoint,
        "--evaluate",
        files / "held.csv",
    )
    _, err = run(*arguments, code=1)
    assert "held.csv: does its first row name the columns?" in err and "or name them with --evaluate-columns:" in err
    (files / "held.csv").write_text("anchor,positive,score,gold\na,b,1,2\nc,d,2,1\n")
    assert (
        "2 columns may be the label ('score', 'gold'); say which with --evaluate-label NAME"
        in run(*arguments, code=1)[1]
    )


def test_queries_with_negatives(files, tiny_checkpoint):
    """All negatives of a query for the losses of ranking, one by one for triplets."""
    rows = [{"query": f"the {a}", "pos": [f"a {a}", f"one {a}"], "neg": ["the river", "rain"]} for a in WORDS[:2]]
    (files / "flag.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = "-m", tiny_checkpoint, *OPTIONS, "--json"
    assert json.loads(run("contrastive", files / "flag.jsonl", files / "a", *options)[0])["examples"] == 4
    triplets = "contrastive", files / "flag.jsonl", files / "b", *options, "--loss", "triplet"
    assert json.loads(run(*triplets)[0])["examples"] == 8
    out, err = run("contrastive", files / "flag.jsonl", files / "c", *options, "--negatives", 1)
    assert json.loads(out)["examples"] == 4 and "4 examples, the first 1 of up to 2 negatives (jsonl, utf-8)\n" in err


def test_a_label_is_not_dropped(files, tiny_checkpoint):
    arguments = "contrastive", files / "scored.csv", files / "run", "-m", tiny_checkpoint, *OPTIONS
    _, err = run(*arguments, code=1)
    assert err == (
        f"minembed: {files / 'scored.csv'}: column 'score' holds scores or labels, which this loss does not use; "
        "--loss contrastive, online_contrastive, cosine_similarity or cosent does, and --columns sentence1,sentence2 "
        "ignores it\n"
    )
    assert run(*arguments, "--columns", "sentence1,sentence2")[0].startswith("24 examples")


def test_pairs_to_be_found(files, tiny_checkpoint):
    arguments = "contrastive", files / "pairs.csv", files / "run", "-m", tiny_checkpoint, *OPTIONS
    out, _ = run(*arguments, "--evaluate", files / "pairs.csv")
    best = max(json.loads(line).get("score", 0) for line in (files / "run" / "history.jsonl").read_text().splitlines())
    assert f"nDCG@10 x 100 on {files / 'pairs.csv'}: " in out and f"{100 * best:.2f} at the best step" in out
    assert f"before, {best:.4f} after" in (files / "run" / "model" / "README.md").read_text()


def test_options_win_over_the_file(files, tiny_checkpoint):
    (files / "s.json").write_text(json.dumps({"epochs": 7, "batch_size": 8, "backend": "numpy", "dropout": 0.0}))
    options = "-m", tiny_checkpoint, "--config", files / "s.json", "--epochs", 1, "--json"
    assert json.loads(run("contrastive", files / "pairs.csv", files / "run", *options)[0])["steps"] == 2


def test_a_training_that_was_stopped_is_resumed(files, tiny_checkpoint, monkeypatch):
    """The model that comes out has the bytes of one that was never stopped."""
    options = "-m", tiny_checkpoint, *OPTIONS, "--epochs", 3, "--save-every", 3
    run("contrastive", files / "pairs.csv", files / "whole", *options)
    real = trainer._Run._step

    def stop(self, group):
        if self.state.step == 8:
            raise TrainingError("the power failed")
        return real(self, group)

    with monkeypatch.context() as patch:
        patch.setattr(trainer._Run, "_step", stop)
        assert run("contrastive", files / "pairs.csv", files / "run", *options, code=1)[1].endswith("power failed\n")
    assert checkpoints.load_checkpoint(files / "run")[1]["step"] == 6
    _, err = run("contrastive", files / "pairs.csv", files / "run", *options, code=1)
    assert "holds a training already: resume it" in err
    _, err = run("contrastive", files / "pairs.csv", files / "run", *options, "--resume", "--seed", 3, code=1)
    assert "other settings: seed was 12, is 3" in err
    _, err = run("contrastive", files / "scored.csv", files / "run", *options, "--resume", "--columns", "sentence1,sentence2", code=1)  # fmt: skip  # noqa: E501
    assert "other data: these examples are not what it began with" in err
    _, err = run(
        "contrastive", files / "pairs.csv", files / "run", *options, "--resume", "--max-seq-length", 16, code=1
    )
    assert "other model: this one is not what it began with" in err
    run("contrastive", files / "pairs.csv", files / "run", *options, "--resume")
    whole, resumed = (files / name / "model" / "model.safetensors" for name in ("whole", "run"))
    assert whole.read_bytes() == resumed.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("x.csv", "a,b,1\nc,d,5\n", ["--loss", "cosine_similarity"], "x.csv, line 2: '3' is 5, outside the range"),
        ("x.csv", "a,b,1\nc,d,6\n", ["--loss", "cosent", "--score-range", 0, 5], "x.csv, line 2: '3' is 6, outside"),
        ("x.csv", "a,b,1\nc,d,nan\n", ["--loss", "cosent"], "x.csv, line 2: '3' is 'nan', not a finite number"),
        (
            "x.csv",
            "a,b\nc,d\n",
            ["--header", "no", "--columns", "1,3"],
            "x.csv: there is no column '3'; name one with --columns",
        ),
        ("x.csv", "", [], "x.csv holds no examples"),
        ("x.csv", "a,b\nc,\n", ["--header", "no"], "x.csv: '2' is missing in 1 of 2 rows (line 2); --missing skip"),
        ("x.csv", "anchor,positive\na,b\n", [], "a batch of one pair has no negatives"),
        ("x.csv", "anchor,positive\na,b\nc,d\n", ["--batch-size", 1], "a batch of one pair has no negatives"),
        ("x.csv", "anchor,positive\na,b\nc,d\n", ["--loss", "triplet"], "takes three texts an example, not 2"),
        ("x.csv", "anchor,positive\na,b\nc,d\n", ["--margin", 1], "has no margin"),
        ("x.csv", "anchor,positive\na,b\nc,d\n", ["--scale", 0], "scale must be above 0"),
        (
            "x.csv",
            "anchor,positive\na,b\nc,d\n",
            ["--matryoshka-dims", "4096", "--backend", "numpy"],
            "more than the vectors'",
        ),
        ("x.csv", "anchor,positive\na,b\nc,d\n", ["--resume"], "there is no checkpoint to resume from"),
        ("x.jsonl", '{"anchor": "a"}\n', [], "x.jsonl: no column is a positive"),
        ("x.jsonl", "{\n", [], "x.jsonl, line 1: not JSON"),
    ],
)
def test_what_is_wrong_is_named(name, content, options, message, tmp_path, tiny_checkpoint):
    (tmp_path / name).write_text(content)
    _, err = run("contrastive", tmp_path / name, tmp_path / "run", "-m", tiny_checkpoint, *options, code=1)
    told, failed = err.split("minembed: ")  # how the file is read, where it could be, and what is wrong
    assert message in failed and told.count("\n") <= 1 and failed.count("\n") <= 3
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    "options", [["--matryoshka-dims", "a,b"], ["--loss", "guess"], ["--epochs", 0], ["--config", "none.toml"]]
)
def test_wrong_usage(options, files):
    _, err = run("contrastive", files / "pairs.csv", files / "run", *options, code=2)
    assert "Error: " in err and not (files / "run").exists()


def test_the_evaluation_is_looked_at_first(files, tiny_checkpoint):
    (files / "flat.csv").write_text("a,b,1\nc,d,1\n")
    options = "-m", tiny_checkpoint, "--evaluate", files / "flat.csv"
    _, err = run("contrastive", files / "pairs.csv", files / "run", *options, code=1)
    assert "all 2 scores of the evaluation are 1" in err and not (files / "run").exists()


def test_places_that_are_taken(files, tiny_checkpoint):
    (files / "run" / "model").mkdir(parents=True)
    _, err = run("contrastive", files / "pairs.csv", files / "run", "-m", tiny_checkpoint, code=1)
    assert f"{files / 'run' / 'model'} exists already" in err
    assert "is a file" in run("contrastive", files / "pairs.csv", files / "pairs.csv", code=2)[1]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(files, tiny_checkpoint):
    files.chmod(0o500)
    try:
        _, err = run("contrastive", files / "pairs.csv", files / "run", "-m", tiny_checkpoint, *OPTIONS, code=1)
    finally:
        files.chmod(0o700)
    assert err.startswith(f"minembed: cannot write to {files / 'run'}")


def test_notes_tell_what_was_asked_for():
    notes = notes_of("`base`", "x.csv", 9, Settings(loss="cosent", dropout=0.0), {"steps": 3, "spearman": None})
    assert "| loss | cosent |" in notes and "before" not in notes


# --- texts alone ----------------------------------------------------------------------------------------------------


@pytest.fixture
def texts(tmp_path):
    dice = random.Random(0)
    lines = [" ".join(dice.choice(WORDS) for _ in range(7)) for _ in range(40)]
    (tmp_path / "texts.txt").write_text("\n\n".join(lines) + "\n")
    (tmp_path / "held.jsonl").write_text("".join(json.dumps({"body": line[::-1]}) + "\n" for line in lines[:5]))
    return tmp_path


def test_words_from_texts_alone(texts):
    """From nothing, with a vocabulary of the texts; stopped and resumed, the same bytes; a head that names words."""
    options = "--init", "tiny", *OPTIONS, "--dropout", 0.1, "--evaluate", texts / "texts.txt", "--save-every", 4
    found = json.loads(run("mlm", texts / "texts.txt", texts / "whole", *options, "--json")[0])
    assert found["texts"] == 40 and found["steps"] == 10 and found["loss"] < found["loss_before"]
    with pytest.MonkeyPatch.context() as patch:
        real = trainer._Run._step
        shutil.copytree(texts / "whole" / "start", texts / "run" / "start")  # vocabularies are not learnt alike
        patch.setattr(trainer._Run, "_step", lambda self, group: 1 / 0 if self.state.step == 6 else real(self, group))
        with pytest.raises(ZeroDivisionError):
            run("mlm", texts / "texts.txt", texts / "run", *options)
    out, _ = run("mlm", texts / "texts.txt", texts / "run", *options, "--resume")
    assert out.startswith("40 texts, 10 steps\nLoss on ")
    whole, resumed = (texts / name / "model" / "model.safetensors" for name in ("whole", "run"))
    assert whole.read_bytes() == resumed.read_bytes()
    card = (texts / "run" / "model" / "README.md").read_text()
    assert "Trained from nothing (tiny) with minembed, on 40 examples of `texts.txt`" in card
    assert "| mask_probability | 0.15 |" in card and "| loss |" not in card
    filled = Embedder.load(texts / "run" / "model", backend="numpy").fill_mask("the [MASK] tree")
    assert len(filled) == 5


def test_words_from_a_table(texts, tiny_checkpoint):
    rows = "".join(f"{i}\tthe {word} in the house\n" for i, word in enumerate(WORDS))
    (texts / "x.tsv").write_text("id\tbody\n" + rows + "9\t\n")
    arguments = "mlm", texts / "x.tsv", texts / "run", "-m", tiny_checkpoint, *OPTIONS
    assert "the text in column 'body' is missing in 1 of 9 rows (line 10)" in run(*arguments, code=1)[1]
    out, err = run(*arguments, "--missing", "skip", "--evaluate", texts / "held.jsonl")
    assert err.splitlines()[:2] == [
        f'{texts / "x.tsv"}: 9 rows, column "body", 1 without a text skipped (tsv, "\\t", utf-8)',
        f'{texts / "held.jsonl"}: 5 rows, column "body" (jsonl, utf-8)',
    ]
    assert out.startswith("8 texts, 2 steps\n")


def test_a_model_goes_on_learning_words(texts, tiny_checkpoint):
    """Its head is made where it has none, and saved with it."""
    out, _ = run("mlm", texts / "texts.txt", texts / "run", "-m", tiny_checkpoint, *OPTIONS, "--whole-words")
    assert out == f"40 texts, 10 steps\nthe trained model is in {texts / 'run' / 'model'}\n"
    assert Embedder.load(texts / "run" / "model", backend="numpy").fill_mask("the [MASK] sat")


@pytest.mark.parametrize(
    ("name", "options", "code", "message"),
    [
        ("empty.txt", [], 1, "empty.txt holds no texts"),
        (
            "texts.txt",
            ["--evaluate", "held.jsonl", "--evaluate-field", "text"],
            1,
            "held.jsonl: there is no column 'text'",
        ),
        ("texts.txt", ["--field", "body"], 1, "texts.txt is a text a line, without columns: leave out --field"),
        ("texts.txt", ["--mask-probability", 0], 1, "mask_probability must be above 0"),
        ("texts.txt", ["--init", "tiny", "-m", "other"], 2, "--init starts without a model"),
        ("texts.txt", ["--init", "huge"], 2, "Invalid value for '--init'"),
    ],
)
def test_what_is_wrong_with_texts_is_named(name, options, code, message, texts, monkeypatch, tiny_checkpoint):
    monkeypatch.chdir(texts)
    (texts / "empty.txt").write_text(" \n")
    model = [] if "--init" in options else ["-m", tiny_checkpoint]
    _, err = run("mlm", name, "run", *model, *options, code=code)
    assert message in err and not (texts / "run" / "model").exists()
