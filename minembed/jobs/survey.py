"""Read the inputs of a job once, before anything is computed: count rows, and divide them into shards."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from minembed.data.texts import LOG, TextRow, Texts
from minembed.errors import InputError
from minembed.jobs.plan import InputFacts, Shard, modified_of
from minembed.runtime.checksums import hash_file
from minembed.runtime.store import Place

SHARD_BYTES = 32 << 20  # the most of vectors, and of texts, in a shard, unless its size is given
FEWEST, MOST = 1_000, 100_000  # rows of such a shard
LONG_TOKENS = 6  # characters per token, an upper estimate


def visible(max_seq_length: int) -> int:
    """The number of characters of a text that count as work: about those that a model reads.

    >>> visible(256)
    1536
    """
    return LONG_TOKENS * max_seq_length


def rows_a_shard(vector_bytes: int) -> int:
    """The default number of rows in a shard, in whole thousands.

    >>> rows_a_shard(384 * 4), rows_a_shard(48)
    (21000, 100000)
    """
    return min(max(SHARD_BYTES // vector_bytes // 1000 * 1000, FEWEST), MOST)


@dataclass(slots=True)
class _Cutter:
    """Divides a stream of rows into shards: by their number, and by their characters."""

    rows: int  # of a shard
    limit: int  # characters of a text that are read
    shards: list[Shard] = field(default_factory=list)
    open_rows: int = 0
    open_texts: int = 0
    open_work: int = 0
    open_characters: int = 0
    texts: int = 0  # of this input

    def add(self, row: TextRow) -> None:
        size = len(row.text or "")
        if self.open_rows and (self.open_rows == self.rows or self.open_characters + size > SHARD_BYTES):
            self.close()
        self.open_rows += 1
        self.open_characters += size
        self.open_work += min(size, self.limit)
        self.open_texts += row.text is not None
        self.texts += row.text is not None

    def close(self) -> None:
        if self.open_rows:
            self.shards.append(Shard(self.open_rows, self.open_texts, self.open_work))
        self.open_rows = self.open_texts = self.open_work = self.open_characters = 0


def survey(
    files: Sequence[Place], texts: Sequence[Texts], rows: int, max_seq_length: int, rows_stay: bool
) -> tuple[tuple[InputFacts, ...], tuple[Shard, ...]]:
    """Read all inputs and report their contents, one line each; `rows` is the most rows of a shard.

    With `rows_stay`, rows without a text are written too.  Raises InputError for missing texts, and if there are none
    at all.
    """
    cutter, facts = _Cutter(rows, visible(max_seq_length)), list[InputFacts]()
    for path, one in zip(files, texts, strict=True):
        before = cutter.texts
        size, modified = path.stat().st_size, modified_of(path)
        found = one.survey(cutter.add)
        LOG.info(one.told(found, rows_stay))
        with path.open("rb") as file:
            digest = hash_file(file)
        facts.append(InputFacts(str(path), size, modified, digest, found.rows, cutter.texts - before))
    cutter.close()
    if not cutter.texts:
        raise InputError(f"{', '.join(map(str, files[:3]))}: there are no texts")
    return tuple(facts), tuple(cutter.shards)
