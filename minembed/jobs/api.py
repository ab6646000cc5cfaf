"""The function that programs call."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from minembed.data.texts import Selection
from minembed.errors import InputError
from minembed.jobs.folder import Report
from minembed.jobs.plan import Engine, ShardForm
from minembed.jobs.planning import Request
from minembed.jobs.running import embed_inputs
from minembed.models.embedder import Embedder
from minembed.models.options import EncodeOptions
from minembed.runtime.checks import check_whole
from minembed.runtime.keywords import takes_options_of
from minembed.runtime.places import as_place
from minembed.runtime.store import Place
from minembed.types import Missing

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes_options_of(Embedder.encode, EncodeOptions)
def embed(
    inputs: str | Place | Sequence[str | Place],
    output: str | Place,
    model: Embedder,
    *,
    field: str | None = None,
    missing: Missing | None = None,
    identity: str | None = None,
    keep: str | None = None,
    form: ShardForm = "parquet",
    shard_rows: int | None = None,
    reuse: str | Place | None = None,
    engine: Engine = "local",
    **options: "Unpack[EncodeOptions]",
) -> Report:
    """Embed all texts of files into a folder of shards, or continue where that stopped.

    `inputs` are files, folders and patterns, also by URL (s3://, gs://, file://), as `output` may be; of each file,
    `field` is the column of the texts, `missing` says what happens to rows without one ("error", "skip" or "empty"),
    and `identity` is the column of ids.  The folder `output`
    gets job.json, then part-000000.parquet and so on, each written atomically, and last manifest.json with their
    checksums.  Shards in "parquet" (needs the extra `arrow`) have the columns of the inputs that `keep` names
    (default: all) and "embedding"; those in "safetensors" have "embeddings" (N, D) and the ids.  `shard_rows` is the
    most rows of a shard, by default as many as make 32 MB.  `reuse` is the folder of an older job, with other inputs
    and the same model and settings: its texts are not computed again.  The options are those of `encode`.

    `engine` is "local", or "ray" (needs the extra `ray`): then the shards are made on the nodes of the Ray cluster that
    this program is connected to, or that runs on this machine, in workers with as many cores as the model has threads;
    `output`, the inputs and the model's folder must be at the same paths on all nodes.

    After a kill, a full disk or Ctrl-C, the same call continues: every row is there once, in order, with the same bits
    as in an uninterrupted run on the same machine.  Raises InputError if an input, the model or a setting has changed
    since the job began, SourceError, an OSError with its errno, if the disk fails, MissingExtraError without Ray.

    >>> from minembed import Embedder
    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> embed("shop.csv", "vectors", model, field="description").rows  # doctest: +SKIP
    1200
    """
    if form not in get_args(ShardForm):
        raise InputError(f"form must be one of {', '.join(get_args(ShardForm))}; not {form!r}")
    if engine not in get_args(Engine):
        raise InputError(f"engine must be one of {', '.join(get_args(Engine))}; not {engine!r}")
    if shard_rows is not None:
        check_whole("shard_rows", shard_rows, also=", or None")
    named = [inputs] if isinstance(inputs, str | Place) else list(inputs)
    selection = Selection(column=field, missing=missing, identity=identity)
    older = None if reuse is None else as_place(reuse)
    request = Request(named, as_place(output), selection, keep, form, shard_rows, options, older, engine)
    return embed_inputs(request, model, options.get("show_progress_bar"))
