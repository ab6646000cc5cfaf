"""The Ray engine: workers on the nodes of a cluster make the shards of a job, in the folder that all of them see.

Ray Data deals out the numbers of shards.  A worker reads the rows of a shard and writes its file by itself, so no text
and no vector goes through Ray; one that is lost leaves no shard behind, and what it had to do is done by another.
"""

import platform
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minembed.errors
from minembed.data.texts import LOG
from minembed.errors import InputError, MinembedError, MissingExtraError
from minembed.jobs.folder import begun_plan, remove_unfinished
from minembed.jobs.local import Job, Made, Reader, make_shards
from minembed.jobs.planning import Request, plan_job
from minembed.models.assembling import assembled
from minembed.models.embedder import Embedder
from minembed.runtime.interrupts import not_swallowed
from minembed.runtime.places import as_place
from minembed.version import __version__
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.sources.locate import Located

NO_CLUSTER = (
    "no Ray cluster is running here: `ray start --head` begins one, RAY_ADDRESS names another; "
    "on one machine the local engine is as fast"
)


@dataclass(frozen=True, slots=True)
class Order:
    """All that a worker needs to know; it goes to the nodes."""

    request: Request
    job: str  # the identity of the plan
    checkpoint: Checkpoint
    found: Located
    backend: str
    dtype: Any
    threads: int
    version: str = __version__


def ray_module() -> Any:
    """Import Ray, with Ray Data, or raise MissingExtraError with what to install.

    >>> from importlib.util import find_spec
    >>> ray_module().__name__ if find_spec("ray") else "ray"
    'ray'
    """
    try:
        with not_swallowed():
            import ray.data  # late: half a second, and only where it is asked for

            return ray
    except ImportError as error:
        raise MissingExtraError("engine ray needs Ray: pip install 'minembed[ray]'") from error


@contextmanager
def cluster(request: Request, model: Embedder) -> Iterator[None]:
    """Connect to the cluster, unless this program is, before anything is written.

    Raises MissingExtraError where Ray is not installed, InputError where no cluster runs, or none of its nodes has as
    many cores as the model has threads.
    """
    ray = ray_module()
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(address="auto", log_to_driver=False, logging_level="warning")
        except ConnectionError as error:
            raise InputError(NO_CLUSTER) from error
    try:
        slots = slots_of(ray, model.engine.threads)
        LOG.info(f"Ray: there is room for {slots:,} workers with {model.engine.threads:,} threads each")
        yield
    finally:
        if own:
            ray.shutdown()


def slots_of(ray: Any, threads: int) -> int:
    """How many workers of so many cores fit on the nodes that are there; raises InputError for none."""
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    slots = sum(own // threads for own in cores)
    if not slots:
        raise InputError(
            f"a worker takes a core for each of the model's {threads} threads, and the largest node of the cluster "
            f"has {max(cores, default=0)}: load the model with threads={max(cores, default=1) or 1}"
        )
    return slots


def make_on_ray(job: Job, numbers: Sequence[int], advance: Callable[[int], None]) -> Made:
    """Have workers make the shards with these numbers; raises what a worker raised first.

    `advance` gets how many characters are done each time that a shard is.
    """
    ray, cut, machines = ray_module(), 0, Counter[str]()
    with closing(_results(ray, order_of(job), numbers)) as results:
        for result in results:
            if result["error"]:
                raise _error_of(result)
            cut += int(result["cut"])
            machines[str(result["node"])] += 1
            advance(job.plan.shards[int(result["shard"])].work)
    remove_unfinished(job.request.folder)
    LOG.info(f"Ray: shards by node: {', '.join(f'{node} {count:,}' for node, count in sorted(machines.items()))}")
    return Made(cut=cut)


def order_of(job: Job) -> Order:
    """What workers are told of a job: every path from the root, as they work in other folders."""
    request, model = job.request, job.model
    files = [as_place(one.name).absolute() for one in job.plan.inputs]
    checkpoint, adapter = model.checkpoint, model.checkpoint.adapter
    if adapter is not None:
        adapter = replace(adapter, base=adapter.base.absolute())
    checkpoint = replace(
        checkpoint, folder=checkpoint.folder.absolute(), root=checkpoint.root.absolute(), adapter=adapter
    )
    older = None if request.reuse is None else request.reuse.absolute()
    return Order(
        replace(request, inputs=files, folder=request.folder.absolute(), reuse=older),
        job.plan.identity(),
        checkpoint,
        Located(checkpoint.root, model.source, model.revision),
        model.backend,
        model.dtype,
        model.engine.threads,
    )


def _results(ray: Any, order: Order, numbers: Sequence[int]) -> Generator[dict[str, Any], None, None]:
    """One result for each shard, as they come."""
    slots = min(slots_of(ray, order.threads), len(numbers))
    data = ray.data.from_items([{"shard": number} for number in numbers], override_num_blocks=len(numbers))
    data.context.enable_progress_bars = data.context.print_on_execution_start = False
    # a pool that may shrink: one of a fixed size waits for ever for a core in the place of a node that is gone
    pool = ray.data.ActorPoolStrategy(min_size=1, initial_size=slots, max_size=len(numbers))
    made = data.map_batches(
        Worker, fn_constructor_args=(order,), compute=pool, num_cpus=order.threads, batch_size=1, batch_format="numpy"
    )
    yield from made.iter_rows()


def _error_of(result: dict[str, Any]) -> MinembedError:
    """The error that a worker raised, with its node."""
    kind = getattr(minembed.errors, str(result["error"]))
    error: MinembedError = kind(f"{result['message']} (on node {result['node']})")
    if isinstance(error, OSError) and result["errno"] >= 0:
        error.errno = int(result["errno"])
    return error


class Worker:
    """An actor of Ray: it has a model, and makes one shard after the other."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._job: Job | None = None
        self._reader: Reader | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shard that a batch names; an error of minembed is a result, since Ray would wrap it."""
        number = int(batch["shard"][0])
        result = {"shard": number, "cut": 0, "error": "", "message": "", "errno": -1, "node": node_name()}
        try:
            result["cut"] = self.make(number)
        except MinembedError as error:
            code = getattr(error, "errno", None)
            result |= {"error": type(error).__name__, "message": str(error), "errno": -1 if code is None else code}
        return {name: np.array([value]) for name, value in result.items()}

    def make(self, number: int) -> int:
        """Make a shard; returns how many texts were cut."""
        if self._job is None or self._reader is None:
            self._job = _job_here(self._order)
            self._reader = Reader(self._job.inputs, self._job.plan)
        return make_shards(self._job, self._reader, [number], lambda _: None).cut


def _job_here(order: Order) -> Job:
    """The job as this node sees it; raises InputError where its folder, files or model are others here."""
    request = order.request
    if order.version != __version__:
        raise InputError(f"minembed {__version__} is installed here, and the job was begun by {order.version}")
    plan = begun_plan(request.folder)
    if plan is None or plan.identity() != order.job:
        raise InputError(f"{request.folder} does not hold the job here: the folder must be one folder for all nodes")
    for folder in (order.checkpoint.folder, order.checkpoint.weights, *map(as_place, request.inputs)):
        if not folder.exists():
            raise InputError(f"{folder} is not there: model and inputs must have the same paths on all nodes")
    model = assembled(Embedder, order.checkpoint, order.found, order.backend, order.dtype, order.threads)
    return Job(request, model, *plan_job(request, model))


def node_name() -> str:
    """How the node of this worker is called: the machine, and the beginning of Ray's number of it."""
    return f"{platform.node()}/{ray_module().get_runtime_context().get_node_id()[:6]}"
