"""Find the columns of a table with the texts of training examples, and the one with their label."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from minembed.data.columns import Column
from minembed.data.headings import FIRST, NEGATIVE, NUMBER, SCORES, SECOND, plain
from minembed.data.roles import check_columns, columns_of, find_role, is_bare, unclear
from minembed.data.table import Row, Table
from minembed.data.texts import check_once
from minembed.errors import InputError
from minembed.types import LabelledLoss

*OTHERS, LAST = get_args(LabelledLoss)
LOSSES = f"{', '.join(OTHERS)} or {LAST}"
WRITTEN_LIST = re.compile(r"\s*\[\s*(['\"].*)?\]\s*", re.DOTALL)  # as written by str() or JSON


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that a caller names, of texts and of the label, and whether the loss takes labels (None: either).

    `option` is the option with which users name columns, for messages.
    """

    columns: tuple[str, ...] | None
    label: str | None
    labelled: bool | None
    option: str

    @classmethod
    def of(cls, columns: Sequence[str] | None, label: str | None, labelled: bool | None, option: str) -> "Wanted":
        """Check the arguments; raises InputError for no columns, and for a label that the loss does not use.

        >>> Wanted.of(["q", "a"], None, False, "--columns").names
        ('q', 'a')
        """
        if columns is not None and len(columns) == 0:
            raise InputError("columns must name at least one column of texts")
        if label is not None and labelled is False:
            raise InputError(f"{label!r} is named as the label, but this loss uses none; --loss {LOSSES} does")
        return cls(None if columns is None else tuple(columns), label, labelled, option)

    @property
    def names(self) -> tuple[str, ...]:
        """All names that were given."""
        return (*(self.columns or ()), *([self.label] if self.label is not None else ()))

    @property
    def label_option(self) -> str:
        """The option with which users name the label."""
        return self.option.replace("columns", "label")


def choose(table: Table, wanted: Wanted) -> tuple[list[Column], Column | None]:
    """The columns of the texts (anchor, positive, negatives), and that of the label, if there is one.

    Raises InputError for a column that is not found, for a label that would not be used, and for lists that are written
    as text.

    >>> from minembed.data.source import Source
    >>> table = Table(Source("x.csv"), "csv", ("id", "query", "neg", "pos"), (), True, (), heading=("id",))
    >>> [column.name for column in choose(table, Wanted.of(None, None, False, "--columns"))[0]]
    ['query', 'pos', 'neg']
    """
    check_columns(table, "examples")
    named = columns_of(table, [wanted.label], wanted.label_option) if wanted.label is not None else []
    score = named[0] if named else None
    if wanted.columns is not None:
        texts = columns_of(table, wanted.columns, wanted.option)
    elif is_bare(table):
        texts, score = _by_position(table, wanted, score)
    else:
        texts = _by_name(table, wanted, named)
    if score is None and not (wanted.labelled is False and wanted.columns is not None):
        score = find_role(table, SCORES, "the label", f"{wanted.label_option} NAME", texts)
    if wanted.labelled and score is None:
        raise unclear(table, "this loss needs a score or label, and no column is one", f"{wanted.label_option} NAME")
    if wanted.labelled is False and score is not None:
        names = ",".join(column.name for column in texts)
        raise InputError(
            f"{table.name}: column {score.name!r} holds scores or labels, which this loss does not use; "
            f"--loss {LOSSES} does, and {wanted.option} {names} ignores it"
        )
    _check_lists(table, texts)
    return texts, score


def _by_name(table: Table, wanted: Wanted, leave_out: Sequence[Column]) -> list[Column]:
    texts = list[Column]()
    for groups, what in ((FIRST, "an anchor (query, sentence1)"), (SECOND, "a positive (answer, sentence2)")):
        found = find_role(table, groups, what, f"{wanted.option} A,B", [*leave_out, *texts])
        if found is None:
            raise unclear(table, f"no column is {what}", f"{wanted.option} A,B")
        texts.append(found)
    texts += [Column(name, (name,)) for name in table.columns if NEGATIVE.fullmatch(plain(name))]
    for column in texts:
        check_once(table, column)
    return texts


def _by_position(table: Table, wanted: Wanted, score: Column | None) -> tuple[list[Column], Column | None]:
    """The columns of a table without a heading, of which the last may be the label."""
    columns = [Column(name, (name,)) for name in table.columns]
    last = [row.values[table.columns[-1]] for row in table.sample]
    if score is None and len(columns) > 2 and (wanted.labelled or _are_numbers(last)):
        score = columns[-1]
    return [column for column in columns if column != score], score


def _are_numbers(values: Sequence[str]) -> bool:
    return all(NUMBER.fullmatch(value.strip()) for value in values)


def _check_lists(table: Table, texts: Sequence[Column]) -> None:
    """Refuse lists in cells of text, which occur in tables that were saved as CSV."""
    for column in texts[1:] if table.form in ("csv", "tsv") else []:
        values = [row.values[column.path[0]] for row in table.sample]
        if values and all(WRITTEN_LIST.fullmatch(value) for value in values):
            raise InputError(
                f"{table.name}: column {column.name!r} holds lists as text, as in {values[0][:40]!r}; write the "
                "table as .jsonl or .parquet, which have lists"
            )


def check_fields(row: Row, table: Table, wanted: Wanted) -> None:
    """Raise InputError for a field of a later row that would have been a negative or a label in the first rows.

    >>> from minembed.data.source import Source
    >>> table = Table(Source("x.jsonl"), "jsonl", ("query", "pos"), (), True, ())
    >>> check_fields(Row("x.jsonl, line 200", {"neg": ["a"]}, ""), table, Wanted.of(None, None, False, "--columns"))
    Traceback (most recent call last):
    minembed.errors.InputError: x.jsonl, line 200: the first rows have no field 'neg'; name all with --columns A,B,...
    """
    if table.form not in ("jsonl", "json") or wanted.columns is not None:
        return
    for name in row.values.keys() - set(table.columns):
        if NEGATIVE.fullmatch(plain(name)) or any(plain(name) in group for group in SCORES):
            raise InputError(
                f"{row.place}: the first rows have no field {name!r}; name all with {wanted.option} A,B,..."
            )
