"""Names of columns: the usual names for texts, and whether a first row holds names or data."""

import re
from collections.abc import Sequence

from minembed.errors import InputError
from minembed.types import Header

TEXTS = (  # usual names for the texts, the strongest group first
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
    "id docid qid pid passageid documentid index title name category class topic url link date time language timestamp "
    "author user username userid rating stars price source lang key tag tags type year split queryid corpusid pairid "
    "genre".split()
)
KNOWN = frozenset((*(name for groups in (TEXTS, FIRST, SECOND, SCORES) for group in groups for name in group), *OTHERS))

LONGEST = 60  # characters of a name; a longer cell is data
NUMBER = re.compile(r"[-+]?[\d.,\s]*\d[\d.,\s]*([eE][-+]?\d+)?%?")
ADDRESS = re.compile(r"(https?://|www\.)\S+|\S+@\S+\.\S+", re.IGNORECASE)
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")


def plain(name: str) -> str:
    """A name in lower case, without punctuation and spaces, for comparing it with others.

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
    """Whether the first row names the columns.

    It does if no cell of it looks like data (is long, a number, an address, or repeated below), and one of these holds:
    a cell is a `wanted` name; two cells are known names; one is, and a column holds only numbers and dates below; one
    is, no cell reads like a sentence, and the cell below is not a known name.  It does not if it has `bare` cells of
    which only the last is a number.  Raises InputError, with the first rows, if this decides nothing and the user has
    not `said` it; `option` is the option with which users name columns.

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
        if any(cell in wanted for cell in first) or _names_columns(first, below):
            return True
    shown = "\n".join(f"  {[cell[:60] for cell in row[:8]]}" for row in rows[:3])
    told = f"Say --header yes or --header no{f', or name them with {option}' if option else ''}"
    raise InputError(f"{name}: does its first row name the columns? {told}:\n{shown}")


def _names_columns(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether cells that do not look like data are a heading, by known names (a label and a text may look like one)."""
    known = [i for i, cell in enumerate(first) if _is_known(cell)]
    if len(known) != 1:
        return len(known) > 1
    if below and any(all(_is_figure(row[i]) for row in below) for i in range(len(first))):
        return True  # the first row has no numbers or dates
    return not any(map(_is_sentence, first)) and not any(_is_known(row[known[0]]) for row in below[:1])


def _is_known(cell: str) -> bool:
    return plain(cell) in KNOWN or NEGATIVE.fullmatch(plain(cell)) is not None


def _is_sentence(cell: str) -> bool:
    words = cell.split()
    return len(words) > 3 or (len(words) > 1 and words[-1].endswith((".", "!", "?")))


def _is_figure(cell: str) -> bool:
    return any(kind.fullmatch(cell.strip()) for kind in (NUMBER, ADDRESS, DATE))


def _looks_like_data(cell: str) -> bool:
    return len(cell) > LONGEST or "\n" in cell.strip() or _is_figure(cell)


def distinct(cells: Sequence[str]) -> tuple[str, ...]:
    """Distinct names for columns: an empty one gets its number, and a repeated one a number at its end.

    Spaces around names, and byte order marks, are removed.

    >>> distinct(["", "text", "text"])
    ('column_1', 'text', 'text_2')
    """
    found, given, counts = dict[str, None](), set(cells), dict[str, int]()
    for i, cell in enumerate(cells, 1):
        name = base = cell.strip().strip("\ufeff").strip() or f"column_{i}"
        while name in found or (name != base and name in given):
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}_{counts[base]}"
        found[name] = None
    return tuple(found)
