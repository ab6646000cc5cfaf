"""Names of columns: those that people give to texts, and whether a first row holds names or data."""

import re
from collections.abc import Sequence

from minembed.errors import InputError
from minembed.types import Header

TEXTS = (  # names that say what the column is for, the strongest group first
    ("text", "texts"),
    tuple("sentence sentences content contents body passage passages document documents pagecontent".split()),
    tuple(
        "description review reviewtext reviewbody comment commenttext message abstract summary paragraph chunk tweet "
        "utterance question query queries answer caption note notes".split()
    ),
)
FIRST = (  # of two texts, the strongest group first
    ("anchor",),
    tuple("query sentence1 text1 s1 question question1 premise sent1 senta sentencea texta".split()),
)
SECOND = (
    tuple("positive positives pos".split()),
    tuple(
        "answer answers sentence2 text2 s2 document passage question2 hypothesis sent2 sentb sentenceb textb".split()
    ),
)
NEGATIVE = re.compile(r"(hard)?neg(ative)?s?\d*")
SCORES = (
    tuple("score scores similarity similarityscore relatednessscore gold goldscore".split()),
    tuple("label labels isduplicate".split()),
)
OTHERS = tuple(
    "id docid index title name category class topic url link date time language timestamp author user username userid "
    "rating stars price source lang key tag tags type year split queryid corpusid pairid genre".split()
)
KNOWN = frozenset((*(name for groups in (TEXTS, FIRST, SECOND, SCORES) for group in groups for name in group), *OTHERS))

LONGEST = 60  # characters of a name; a longer cell is data
NUMBER = re.compile(r"[-+]?[\d.,\s]*\d[\d.,\s]*([eE][-+]?\d+)?%?")
ADDRESS = re.compile(r"(https?://|www\.)\S+|\S+@\S+\.\S+", re.IGNORECASE)
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")


def plain(name: str) -> str:
    """A name in small letters, without signs, to compare it with others.

    >>> plain("Sentence_1"), plain(" Text")
    ('sentence1', 'text')
    """
    return "".join(c for c in name.lower() if c.isalnum())


def has_heading(
    rows: Sequence[Sequence[str]],
    said: Header | None,
    wanted: Sequence[str],
    name: str,
    bare: int | None = None,
    option: str = "",
) -> bool:
    """Whether the first of some rows names the columns.

    It does if no cell of it looks like data (long, a number, an address, one that comes again below) and one is a name
    that is `wanted` or known.  It does not where it has `bare` cells of which the last alone
    is a number.  Raises InputError, with the first rows, where neither decides it, and nobody `said` it; `option` is
    where a user says names that are wanted.

    >>> has_heading([["id", "text"], ["1", "one"]], None, (), "x.csv")
    True
    >>> has_heading([["bread"], ["cake"]], None, (), "x.csv")
    Traceback (most recent call last):
    minembed.errors.InputError: x.csv: does its first row name the columns? Say --header yes or --header no:
      ['bread']
      ['cake']
    """
    if said is not None or not rows:
        return said == "yes"
    first, below = rows[0], rows[1:]
    if len(first) == bare and [i for i, cell in enumerate(first) if NUMBER.fullmatch(cell.strip())] == [bare - 1]:
        return False
    data = [_looks_like_data(cell) for cell in first]
    again = [cell.strip() != "" and any(row[i] == cell for row in below) for i, cell in enumerate(first)]
    if not any(data) and not any(again):
        named = any(cell in wanted for cell in first) or any(plain(cell) in KNOWN for cell in first)
        if named or any(NEGATIVE.fullmatch(plain(cell)) for cell in first):
            return True
    shown = "\n".join(f"  {[cell[:60] for cell in row[:8]]}" for row in rows[:3])
    told = f"Say --header yes or --header no{f', or name them with {option}' if option else ''}"
    raise InputError(f"{name}: does its first row name the columns? {told}:\n{shown}")


def _looks_like_data(cell: str) -> bool:
    kinds = (NUMBER, ADDRESS, DATE)
    return len(cell) > LONGEST or "\n" in cell.strip() or any(kind.fullmatch(cell.strip()) for kind in kinds)


def distinct(cells: Sequence[str]) -> tuple[str, ...]:
    """Names for columns: an empty one becomes its number, and the second of a name gets a number behind it.

    >>> distinct(["", "text", "text"])
    ('column_1', 'text', 'text_2')
    """
    found: list[str] = []
    for i, cell in enumerate(cells, 1):
        name = base = cell.strip() or f"column_{i}"
        count = 1
        while name in found or (name != base and name in cells):
            count += 1
            name = f"{base}_{count}"
        found.append(name)
    return tuple(found)
