"""The inputs of a job: files, folders and patterns, in a fixed order, each opened and read the same way."""

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from minembed.data.columns import Column
from minembed.data.forms import form_of_name
from minembed.data.json_kinds import Kind, merged
from minembed.data.layout import Extra, Layout, kept_columns, layout_of
from minembed.data.source import STDIN, Source
from minembed.data.texts import LOG, Selection, TextRow, Texts, column_of, open_texts
from minembed.errors import InputError
from minembed.jobs.plan import MANIFEST, PLAN
from minembed.runtime.places import as_place, files_below, matching
from minembed.runtime.store import Place
from minembed.types import TextFormat

KINDS: dict[TextFormat, str] = {
    "txt": "a text a line",
    "csv": "a table of texts",
    "tsv": "a table of texts",
    "jsonl": "JSON",
    "json": "JSON",
    "parquet": "a table of Arrow",
    "feather": "a table of Arrow",
}
SHOWN = 3  # names in a message


def find_files(inputs: Sequence[str | Place]) -> list[Place]:
    """The files of the inputs, in order: for a folder all files with texts, by name, also in folders below it.

    In a folder, names that begin with "." or "_" are skipped, files whose endings are not of texts, and, if it has
    tables, plain text files beside them; this is logged.  Raises InputError for a name or a pattern without a file, and
    for a file that occurs twice.

    >>> find_files(["no such file"])
    Traceback (most recent call last):
    minembed.errors.InputError: no such file: there is no such file or folder; inputs are files, folders, or patterns
    """
    if not inputs:
        raise InputError("no inputs: name files, folders or patterns such as 'texts/*.parquet'")
    seen: dict[Place, Place] = {}
    for path in (path for one in inputs for path in _files_of(one)):
        before = seen.setdefault(path.resolve(), path)
        if before is not path:
            raise InputError(f"{path} is meant twice: its rows would be there twice; leave one of them out")
    return list(seen.values())


def _files_of(name: str | Place) -> Sequence[Place]:
    path = as_place(name)
    if path == STDIN:
        raise InputError("standard input cannot be read again, which a job needs to continue: name a file")
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        if not path.is_file():
            raise InputError(f"{name} is no regular file: a job that continues reads its inputs again; copy it first")
        return [path]
    if glob.has_magic(str(name)):
        files = matching(str(name))
        if not files:
            raise InputError(f"{name}: no file has a name like that")
        return files
    raise InputError(f"{name}: there is no such file or folder; inputs are files, folders, or patterns")


def _in_folder(folder: Place) -> list[Place]:
    below = {path: _parts_below(path, folder) for path in files_below(folder)}
    if (PLAN,) in below.values():  # the folder of another job, whose shards are tables
        below = {path: parts for path, parts in below.items() if path.name not in (PLAN, MANIFEST)}
    forms = dict[Place, TextFormat]()
    for path, parts in below.items():
        with suppress(InputError):  # of an ending that is refused
            form = form_of_name(path.name)
            if form is not None and not any(part[0] in "._" for part in parts):
                forms[path] = form
    if set(forms.values()) - {"txt"}:
        forms = {path: form for path, form in forms.items() if form != "txt"}
    if not forms:
        raise InputError(f"{folder}: no file in it has an ending that texts have, such as .csv, .jsonl or .parquet")
    out = ["/".join(parts) for path, parts in below.items() if path not in forms]
    if out:
        shown = ", ".join(out[:SHOWN]) + (", ..." if len(out) > SHOWN else "")
        LOG.info(f"{folder}: {len(forms):,} files are read, {len(out):,} others are left out ({shown})")
    return list(forms)


def _parts_below(path: Place, folder: Place) -> tuple[str, ...]:
    """The path of a file relative to a folder, as its parts."""
    return path.parts[len(folder.parts) :]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The open inputs of a job, the column of ids of each, and the columns that are written."""

    texts: tuple[Texts, ...]
    identities: tuple[Column | None, ...]
    layout: Layout  # without the vectors

    def rows(self) -> Iterator[tuple[TextRow, Column | None]]:
        """All rows of all inputs, in order, each with the column of its id.

        Row numbers continue from one input to the next.
        """
        number, columns = 0, self.layout.columns
        for texts, identity in zip(self.texts, self.identities, strict=True):
            for row in texts.rows(whole_rows=columns is None, also=columns or ()):
                number += 1
                yield row._replace(number=number), identity


def open_inputs(
    files: Sequence[Place],
    selection: Selection,
    keep: str | None,
    form: TextFormat | None,
    extra: Extra,
    kinds: Mapping[str, Kind] | None = None,
) -> Inputs:
    """Open files that have the same columns, and choose the columns for a form (None: only vectors and ids).

    `kinds` are the types of JSON's values if they are known; otherwise all JSON is read here.  Raises InputError if a
    file or its columns are ambiguous, or do not match those of the first.
    """
    opened = tuple(open_texts(Source.of(path), selection) for path in files)
    for other in opened[1:]:
        _check_alike(opened[0], other)
    identities = tuple(
        None if selection.identity is None else column_of(one.table, selection.identity, "--id") for one in opened
    )
    if form is None:
        own = dict.fromkeys(identity.path[0] for identity in identities if identity is not None)
        return Inputs(opened, identities, Layout(tuple(own)))
    if kinds is not None:
        return Inputs(opened, identities, Layout(tuple(kinds), kinds=kinds))
    layouts = [_layout(one, keep, identity, form, extra) for one, identity in zip(opened, identities, strict=True)]
    return Inputs(opened, identities, _common([one.name for one in opened], layouts))


def _layout(texts: Texts, keep: str | None, identity: Column | None, form: TextFormat, extra: Extra) -> Layout:
    columns = kept_columns(texts.table, keep, identity.path[0] if identity else None)
    return replace(layout_of(texts.table, form, columns, [extra]), extra=())


def _check_alike(first: Texts, other: Texts) -> None:
    if KINDS[first.table.form] != KINDS[other.table.form]:
        raise InputError(
            f"{first.name} is {KINDS[first.table.form]} and {other.name} is {KINDS[other.table.form]}: "
            "a job reads one kind; embed them into two folders"
        )
    if first.column.path != other.column.path:
        raise InputError(
            f"the texts are in column {first.column.name!r} of {first.name} and in {other.column.name!r} of "
            f"{other.name}: say which with --field"
        )


def _common(names: Sequence[str], layouts: Sequence[Layout]) -> Layout:
    """The common layout of all inputs: the types of JSON's values are determined from all of them."""
    first = layouts[0]
    if first.kinds is not None:
        kinds = merged([layout.kinds or {} for layout in layouts])
        return replace(first, columns=tuple(kinds), kinds=kinds)
    for name, other in zip(names[1:], layouts[1:], strict=True):
        if first.columns != other.columns:
            mine, theirs = first.columns or (), other.columns or ()
            apart = sorted({*mine} ^ {*theirs})
            what = f"{apart[0]!r} is in one of them only" if apart else "in another order"
            raise InputError(f"{names[0]} and {name} have other columns ({what}): say with --keep which come along")
        if first.schema is not None:
            _check_types(names[0], first.schema, name, other.schema)
    return first


def _check_types(name: str, schema: Any, other_name: str, other: Any) -> None:
    for mine, theirs in zip(schema, other, strict=True):
        if mine.type != theirs.type:
            raise InputError(
                f"column {mine.name!r} is of type {mine.type} in {name} and of type {theirs.type} in {other_name}: "
                "make them the same, or leave it out with --keep"
            )
