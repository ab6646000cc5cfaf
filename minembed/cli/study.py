"""`minembed study`: fix twelve bugs that ports of encoders really had."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from minembed.cli.console import Failure, table
from minembed.cli.model_choice import DEFAULT_MODEL, ModelChoice, load_model

if TYPE_CHECKING:
    from minembed.study.exercises.exercise import Exercise
    from minembed.study.exercises.progress import Progress
    from minembed.study.exercises.runner import Outcome

LIST = "list"


@click.command("study", short_help="Learn by fixing real bugs.")
@click.argument("exercise", default=LIST, metavar="[list|N]")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("minembed-study"),
    show_default=True,
    help="Folder of your files and your progress.",
)
@click.option("--hint", is_flag=True, help="Print the next hint of exercise N.")
@click.option("--solution", is_flag=True, help="Print the lines that fix exercise N.")
@click.option("--reset", is_flag=True, help="Write the file of exercise N again; yours is saved as FILE.old.")
@click.option("-m", "--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME|FOLDER", help="A BERT model.")
@click.option("--offline", is_flag=True, help="Use only what is on this machine.")
def command(exercise: str, folder: Path, hint: bool, solution: bool, reset: bool, model: str, offline: bool) -> None:
    """List the exercises, begin one, or check your changes.

    Each is a short function with a bug, in a file of your own. The first call writes the file; each later one puts your
    function into the encoder, and names the first intermediate result that differs.

    \b
    minembed study list
    minembed study 1            write 01_scores.py; edit it, then call it again
    minembed study 1 --hint
    """
    from minembed.study.exercises.progress import read_progress
    from minembed.study.exercises.table import exercise as find

    done = read_progress(folder)
    if exercise == LIST:
        if hint or solution or reset:
            raise click.UsageError("--hint, --solution and --reset need the number of an exercise")
        _print_list(done)
        return
    if not exercise.isdecimal():
        raise click.UsageError(f"{exercise!r} is neither 'list' nor the number of an exercise")
    chosen = find(int(exercise))
    if solution:
        _print_solution(chosen)
    elif hint:
        _print_hint(chosen, folder, done)
    elif _begin(chosen, folder, reset):
        _check(chosen, folder, done, ModelChoice(model, offline=offline, backend="numpy"))


def _file(chosen: "Exercise", folder: Path) -> Path:
    return folder / f"{chosen.number:02}_{chosen.function}.py"


def _print_list(done: "dict[int, Progress]") -> None:
    """Print all exercises, with the learner's progress."""
    from minembed.study.exercises.table import EXERCISES

    rows = []
    for one in EXERCISES:
        own = done.get(one.number)
        state = "" if own is None else "solved" if own.solved else "begun"
        rows.append([str(one.number), one.title, f"{one.function}()", state])
    for line in table(rows, right=frozenset({0})):
        click.echo(line)
    solved = sum(own.solved for own in done.values())
    click.echo(f"\n{solved} of {len(EXERCISES)} solved; begin one with: minembed study N")


def _print_hint(chosen: "Exercise", folder: Path, done: "dict[int, Progress]") -> None:
    """Print the next hint; the last one again, if there are no more."""
    from dataclasses import replace

    from minembed.study.exercises.progress import Progress, write_progress

    own = done.get(chosen.number, Progress())
    at = min(own.hints, len(chosen.hints) - 1)
    click.echo(f"Hint {at + 1} of {len(chosen.hints)}: {chosen.hints[at]}")
    if at + 1 == len(chosen.hints):
        click.echo(f"There are no more hints; for the solution: minembed study {chosen.number} --solution")
    if folder.is_dir():
        write_progress(folder, {**done, chosen.number: replace(own, hints=at + 1)})


def _print_solution(chosen: "Exercise") -> None:
    """Print the wrong lines and the right ones."""
    for mark, lines in (("-", chosen.wrong), ("+", chosen.right)):
        for line in lines.rstrip("\n").split("\n"):
            click.echo(f"{mark} {line}")


def _begin(chosen: "Exercise", folder: Path, reset: bool) -> bool:
    """Write the learner's file if there is none; returns whether there was one, which is then checked."""
    from minembed.runtime.files import replacing

    path = _file(chosen, folder)
    if path.exists() and not reset:
        return True
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(path.with_name(f"{path.name}.old"))
    with replacing(path) as file:
        file.write(chosen.starter.encode())
    click.echo(chosen.starter.split('"""')[1])
    click.echo(f"The function is in {path}. Change it, then check it with: minembed study {chosen.number}")
    return False


def _check(chosen: "Exercise", folder: Path, done: "dict[int, Progress]", choice: ModelChoice) -> None:
    """Run the learner's file, print the result, and save the progress; exit code 1 if the exercise is not solved."""
    from minembed.study.exercises.progress import Progress, write_progress
    from minembed.study.exercises.runner import load, run, traces_of, where_it_failed

    path = _file(chosen, folder)
    traces = traces_of(load_model(choice))
    function = load(path, chosen.function)
    try:
        outcome = run(chosen, function, traces)
    except Exception as error:
        raise Failure(where_it_failed(error, path)) from error
    own = done.get(chosen.number, Progress()).after(outcome.solved)
    write_progress(folder, {**done, chosen.number: own})
    _print_outcome(chosen, outcome)
    if not outcome.solved:
        raise click.exceptions.Exit(1)


def _print_outcome(chosen: "Exercise", outcome: "Outcome") -> None:
    """Print the difference of each stage from the reference, and the first result that differs."""
    rows = [["", "off by", "cosine"]]
    rows += [[stage.name, f"{stage.off:.2g}", f"{stage.cosine:.6f}"] for stage in outcome.stages]
    for line in table(rows, right=frozenset({1, 2})):
        click.echo(line)
    first = outcome.first
    if first is None:
        click.echo(f"\nSolved: every result is the encoder's own, within {chosen.tolerance:g} of its length.")
        return
    click.echo(
        f"\nNot yet. The first result that differs is {first.name}: off by {first.off:.2g} of its length.\n"
        f"Stuck? minembed study {chosen.number} --hint"
    )
