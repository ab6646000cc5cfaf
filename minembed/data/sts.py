"""Scored pairs of texts from files, as in the STS benchmark."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from minembed.data.columns import Column, text_of, value_of
from minembed.data.headings import FIRST, SCORES, SECOND
from minembed.data.roles import Gap, check_columns, check_gaps, columns_of, find_role, is_bare, number_of, told, unclear
from minembed.data.source import Source
from minembed.data.table import Reading, Table, open_table
from minembed.data.texts import LOG
from minembed.errors import InputError
from minembed.types import Missing

BARE = 3  # columns of a table without a heading: two texts and their score


class Pair(NamedTuple):
    """Two sentences, and how similar people found them."""

    first: str
    second: str
    score: float


def read_sts(
    path: Path,
    *,
    reading: Reading | None = None,
    columns: Sequence[str] | None = None,
    score: str | None = None,
    missing: Missing = "error",
) -> list[Pair]:
    """Read pairs from a table of any form, with scores on any scale.

    Columns are those that are named, or those with the usual names (sentence1, sentence2, score; question1, question2,
    is_duplicate; sentence_A, sentence_B, relatedness_score; ...), or three without a heading, the last with numbers.
    Raises InputError, with all columns, if one is not found; with the places, if a text or a score is missing, unless
    `missing` is "skip"; and with the line for a score that is not a finite number.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "dev.csv"
    ...     _ = path.write_text("score,sentence1,sentence2\\n4.5,a cat,a feline\\n")
    ...     [(pair.score, pair.first) for pair in read_sts(path)]
    [(4.5, 'a cat')]
    """
    if columns is not None and len(columns) != 2:
        raise InputError(f"a pair has two columns of texts, not {len(columns)}: {', '.join(columns)}")
    wanted = (*(columns or ()), *([score] if score is not None else ()))
    table = open_table(Source.of(path), reading or Reading(), wanted, BARE, "--columns", columns_only=True)
    if not table.sample and next(table.rows(), None) is None:
        return []
    first, second, scores = _choose(table, columns, score)
    found, gaps, rows = list[Pair](), list[Gap](), 0
    for row in table.rows(list({column.path[0]: None for column in (first, second, scores)})):
        rows += 1
        texts = [text_of(value_of(row.values, column), column.name, row.place) for column in (first, second)]
        texts = ["" if text is None and missing == "empty" else text for text in texts]
        number = number_of(value_of(row.values, scores), scores.name, row.place)
        if texts[0] is None or texts[1] is None or number is None:
            lacking = zip((first, second, scores), (*texts, number), strict=True)
            gaps += [Gap(row.place, column.name) for column, value in lacking if value is None]
            continue
        found.append(Pair(texts[0], texts[1], number))
    if missing != "skip":
        check_gaps(gaps, table.name, rows)
    LOG.info(told(table, rows, [first, second, scores], rows - len(found)))
    return found


def _choose(table: Table, columns: Sequence[str] | None, score: str | None) -> list[Column]:
    """The columns of both texts and of the score."""
    check_columns(table, "pairs")
    if columns is None and score is None and is_bare(table):
        if len(table.columns) != BARE:
            what = f"it has {len(table.columns)} columns without names, and a pair is two texts and their score"
            raise unclear(table, what, "--columns A,B and --score N")
        return columns_of(table, ("1", "2", "3"), "--columns")
    named = columns_of(table, columns or (), "--columns")
    scores = columns_of(table, [score], "--score") if score is not None else []
    if not named:
        for groups, what in ((FIRST, "the first text (sentence1)"), (SECOND, "the second text (sentence2)")):
            found = find_role(table, groups, what, "--columns A,B", scores)
            if found is None:
                raise unclear(table, f"no column is {what}", "--columns A,B")
            named.append(found)
    if not scores:
        found = find_role(table, SCORES, "the score", "--score NAME", named)
        if found is None:
            raise unclear(table, "no column is the score", "--score NAME")
        scores.append(found)
    return [*named, *scores]
