"""Names of commands: suggestions for mistyped ones, and completion in shells."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command import MODULE, run


@pytest.mark.parametrize(("typed", "meant"), [("serch", "search"), ("embd", "embed"), ("cluster-", "cluster")])
def test_did_you_mean(typed, meant):
    _, err = run(typed, "x", code=2)
    assert f"No such command {typed!r}. Did you mean {meant!r}?" in err


def test_no_suggestion_where_nothing_is_near():
    assert "Did you mean" not in run("xyzzy", code=2)[1]


@pytest.mark.parametrize(
    ("shell", "word", "expected"),
    [("bash", "1", "plain,search"), ("zsh", "1", "search"), ("fish", "se", "plain,search\t")],
)
def test_completion_answers(shell, word, expected):
    variables = {"_MINEMBED_COMPLETE": f"{shell}_complete", "COMP_WORDS": "minembed se", "COMP_CWORD": word}
    command = [MODULE[0], "-c", "from minembed.cli import main; main(prog_name='minembed')"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0 if shell != "zsh" else 1].startswith(expected) and done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_takes_the_completion(tmp_path):
    """The line of the guide, in a shell: what it defines answers with the commands that begin with a word."""
    script = Path(tmp_path / "minembed")
    script.write_text(
        f'#!/bin/sh\nexec {MODULE[0]} -c "from minembed.cli import main; main(prog_name=\'minembed\')" "$@"\n'
    )
    script.chmod(0o755)
    shell = """
    eval "$(_MINEMBED_COMPLETE=bash_source minembed)"
    COMP_WORDS=(minembed de) COMP_CWORD=1
    _minembed_completion minembed
    echo "${COMPREPLY[@]}"
    """
    variables = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", shell], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["demo", "dedupe"]
