"""The request for a job, and its plan: a new one, or that of an existing job."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from minembed.data.json_kinds import kind_from
from minembed.data.layout import Extra
from minembed.data.texts import Selection
from minembed.errors import InputError
from minembed.jobs.folder import begin, begun_plan
from minembed.jobs.inputs import Inputs, find_files, open_inputs
from minembed.jobs.model_files import digest_of
from minembed.jobs.plan import Engine, Plan, ShardForm, check_same
from minembed.jobs.shards import EMBEDDING
from minembed.jobs.survey import rows_a_shard, survey
from minembed.models.embedder import Embedder
from minembed.models.options import EncodeOptions, Options
from minembed.runtime.places import is_inside
from minembed.runtime.store import Place
from minembed.search.index_model import facts_of
from minembed.transformer.vectors import quantize_embeddings
from minembed.types import Array, TextFormat
from minembed.version import __version__

OF_BYTES = ("ranges", "calibration_embeddings")  # options that are arrays
FREE = ("batch_size", "show_progress_bar")  # options that change no vector


@dataclass(frozen=True, slots=True)
class Request:
    """The request for a job: the texts, the output, and how texts become vectors."""

    inputs: Sequence[str | Place]
    folder: Place
    selection: Selection = field(default_factory=Selection)
    keep: str | None = None
    form: ShardForm = "parquet"
    shard_rows: int | None = None
    options: EncodeOptions = field(default_factory=EncodeOptions)
    reuse: Place | None = None  # the folder of an older job
    engine: Engine = "local"

    def reading(self) -> dict[str, Any]:
        """How the inputs are read, in the form of a plan."""
        said = asdict(self.selection.reading)
        own = self.selection
        return said | {
            "field": own.column,
            "missing": own.missing,
            "id": own.identity,
            "keep": self.keep,
            "shard_rows": self.shard_rows,
        }

    def settings(self) -> dict[str, Any]:
        """The options that change vectors, in the form of a plan: for an array its checksum."""
        checked = Options(**self.options)
        found: dict[str, Any] = asdict(replace(checked, ranges=None, calibration_embeddings=None))
        for name in (*FREE, "output_value", "device", "convert_to_numpy"):
            del found[name]
        for name in OF_BYTES:
            array: Any = self.options.get(name)
            found[name] = None if array is None else hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return found


def plan_job(request: Request, model: Embedder) -> tuple[Plan, Inputs, Array]:
    """The plan of the job in the folder, or a new one; its inputs, and an array (0, D) of the vectors' dtype.

    Raises InputError if an input, the model or a setting has changed since the job began.
    """
    options = Options(**request.options)
    zero = np.zeros((0, model.engine.width(options.truncate_dim)), np.float32)
    empty = quantize_embeddings(zero, options.precision, options.ranges, options.calibration_embeddings)
    facts = facts_asked(request, model)
    files, plan = _files_of(request), begun_plan(request.folder)
    kinds = None
    if plan is not None:
        check_same(plan, facts, files, request.folder)
        if plan.form != request.form:
            raise InputError(f"{request.folder} holds shards in {plan.form}: say so, or name another folder")
        kinds = None if plan.kinds is None else {name: kind_from(one) for name, one in plan.kinds.items()}
    extra = Extra(EMBEDDING, empty.dtype, empty.shape[1])
    form: TextFormat | None = "parquet" if request.form == "parquet" else None
    inputs = open_inputs(files, request.selection, request.keep, form, extra, kinds)
    if plan is None:
        rows = request.shard_rows or rows_a_shard(empty.dtype.itemsize * empty.shape[1])
        plan = _new_plan(request, model, files, inputs, rows, facts)
        begin(request.folder, plan)
    return plan, replace(inputs, layout=replace(inputs.layout, extra=(extra,))), empty


def facts_asked(request: Request, model: Embedder) -> dict[str, dict[str, Any]]:
    """The requested model, settings and way of reading, in the form of a plan."""
    return {
        "model": {"sha256": digest_of(model), "dtype": model.dtype, "max_seq_length": model.max_seq_length},
        "settings": request.settings(),
        "reading": request.reading(),
    }


def _files_of(request: Request) -> list[Place]:
    files = find_files(request.inputs)
    inside = next((path for path in files if is_inside(path, request.folder)), None)
    if inside is not None:
        raise InputError(f"{inside} is in the folder of the job itself: name another folder for the vectors")
    return files


def _new_plan(
    request: Request,
    model: Embedder,
    files: Sequence[Place],
    inputs: Inputs,
    rows: int,
    facts: Mapping[str, Mapping[str, Any]],
) -> Plan:
    """Read all inputs once, and plan."""
    read, shards = survey(files, inputs.texts, rows, model.max_seq_length, request.form == "parquet")
    kinds, search = inputs.layout.kinds, _search_facts(model, request.options, inputs)
    return Plan(
        form=request.form,
        inputs=read,
        shards=shards,
        kinds=None if kinds is None else {name: asdict(kind) for name, kind in kinds.items()},
        search=search,
        model_name=search["model"]["name"],
        minembed=__version__,
        model=facts["model"],
        settings=facts["settings"],
        reading=facts["reading"],
    )


def _search_facts(model: Embedder, options: EncodeOptions, inputs: Inputs) -> dict[str, Any]:
    """Facts for an index: its model, and whether the vectors are those of documents."""
    own = Options(**options)
    width = model.engine.width(own.truncate_dim)
    said: EncodeOptions = {
        "normalize_embeddings": own.normalize_embeddings,
        "prompt": own.prompt,
        "prompt_name": own.prompt_name,
        "truncate_dim": own.truncate_dim,
    }
    as_document, as_asked = facts_of(model, width), facts_of(model, width, partial(_encoded, model, said))
    first, identity = inputs.texts[0], inputs.identities[0]
    return {
        "text": list(first.column.path),
        "id": None if identity is None else list(identity.path),
        "metric": model.checkpoint.similarity_fn_name,
        "documents": as_document == as_asked,
        "model": as_document,
    }


def _encoded(model: Embedder, options: EncodeOptions, text: str, **other: Any) -> Array:
    silent: EncodeOptions = {**options, "truncation": "silent"}
    return model.encode(text, **silent)
