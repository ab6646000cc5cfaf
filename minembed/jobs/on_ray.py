"""The Ray engine: workers on the nodes of a cluster make the shards of a job, in a shared folder.

Ray Data distributes the numbers of shards.  A worker reads the rows of a shard and writes its file itself, so no texts
or vectors go through Ray; if a worker is lost, it leaves no unfinished shard, and another does its work.
"""

import platform
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minembed.errors
from minembed.data.texts import LOG
from minembed.errors import InputError, MinembedError, MissingExtraError, SourceError
from minembed.jobs.folder import begun_plan, remove_unfinished
from minembed.jobs.local import Job, Made, Reader, make_shards, older_vectors
from minembed.jobs.planning import Request, facts_asked, plan_job
from minembed.jobs.ray_desk import Desk, packed, unpacked
from minembed.jobs.reuse import Known, older_plan
from minembed.models.assembling import assembled
from minembed.models.embedder import Embedder
from minembed.runtime.interrupts import not_swallowed
from minembed.runtime.places import as_place
from minembed.version import __version__
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.sources.locate import Located

MOST_BEGUN = 4  # times that a shard is begun
LOOK = 0.2  # seconds
NO_CLUSTER = (
    "no Ray cluster is running here: `ray start --head` begins one, RAY_ADDRESS names another; "
    "on one machine the local engine is as fast"
)


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that a worker needs; it is sent to the nodes."""

    request: Request
    job: str  # the identity of the plan
    checkpoint: Checkpoint
    found: Located
    backend: str
    dtype: Any
    threads: int
    version: str = __version__


def ray_module() -> Any:
    """Import Ray, with Ray Data, or raise MissingExtraError, which says what to install.

    >>> from importlib.util import find_spec
    >>> ray_module().__name__ if find_spec("ray") else "ray"
    'ray'
    """
    try:
        with not_swallowed():
            import ray.data  # late: takes half a second, and is only needed here

            return ray
    except ImportError as error:
        raise MissingExtraError("engine ray needs Ray: pip install 'minembed[ray]'") from error


@contextmanager
def connected() -> Iterator[Any]:
    """Connect to the cluster, unless this program is connected; yields Ray.

    Raises MissingExtraError if Ray is not installed, InputError if no cluster runs.

    >>> with connected() as ray:  # doctest: +SKIP
    ...     ray.is_initialized()
    True
    """
    ray = ray_module()
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(address="auto", log_to_driver=False, logging_level="warning")
        except ConnectionError as error:
            raise InputError(NO_CLUSTER) from error
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()


@contextmanager
def cluster(request: Request, model: Embedder) -> Iterator[None]:
    """Connect to the cluster, unless this program is connected, before anything is written.

    Raises MissingExtraError if Ray is not installed, InputError if no cluster runs, or none of its nodes has as many
    cores as the model has threads.
    """
    with connected() as ray:
        slots = slots_of(ray, model.engine.threads)
        LOG.info(f"Ray: there is room for {slots:,} workers with {model.engine.threads:,} threads each")
        yield


def slots_of(ray: Any, threads: int) -> int:
    """The number of workers with this many cores that fit on the nodes; raises InputError for none."""
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    slots = sum(own // threads for own in cores)
    if not slots:
        raise InputError(
            f"a worker takes a core for each of the model's {threads} threads, and the largest node of the cluster "
            f"has {max(cores, default=0)}: load the model with threads={max(cores, default=1) or 1}"
        )
    return slots


def make_on_ray(job: Job, numbers: Sequence[int], advance: Callable[[int], None]) -> Made:
    """Make the shards with these numbers in workers; raises the first error of a worker.

    `advance` is called with the number of characters of each finished shard.
    """
    if job.request.reuse is not None:
        older_plan(job.request.reuse, facts_asked(job.request, job.model))  # raises here, not on the nodes
    ray, cut, reused, machines = ray_module(), 0, 0, Counter[str]()
    with closing(_results(ray, order_of(job), numbers)) as results:
        for result in results:
            if result["error"]:
                raise _error_of(result)
            cut += int(result["cut"])
            reused += int(result["reused"])
            machines[str(result["node"])] += 1
            advance(job.plan.shards[int(result["shard"])].work)
    remove_unfinished(job.request.folder)
    LOG.info(f"Ray: shards by node: {', '.join(f'{node} {count:,}' for node, count in sorted(machines.items()))}")
    return Made(reused, cut)


def order_of(job: Job) -> Order:
    """The order for the workers of a job: with absolute paths, since they have other working directories."""
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
    """One result for each shard, in the order of completion."""
    slots = min(slots_of(ray, order.threads), len(numbers))
    data = ray.data.from_items([{"shard": number} for number in numbers], override_num_blocks=len(numbers))
    data.context.enable_progress_bars = data.context.print_on_execution_start = False
    # a pool that may shrink: one of a fixed size waits for ever for a core to replace those of a lost node
    pool = ray.data.ActorPoolStrategy(min_size=1, initial_size=slots, max_size=len(numbers))
    told, cores = (order, _desk(ray)), order.threads
    made = data.map_batches(
        Worker, fn_constructor_args=told, compute=pool, num_cpus=cores, batch_size=1, batch_format="numpy"
    )
    yield from made.iter_rows()


def _desk(ray: Any) -> Any:
    """Start the desk on the node of this program, which ends with the job."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote()


def _error_of(result: dict[str, Any]) -> MinembedError:
    """The error that a worker raised, with its node."""
    kind = getattr(minembed.errors, str(result["error"]))
    error: MinembedError = kind(f"{result['message']} (on node {result['node']})")
    if isinstance(error, OSError) and result["errno"] >= 0:
        error.errno = int(result["errno"])
    return error


class Worker:
    """A Ray actor with a model, which makes one shard after another."""

    def __init__(self, order: Order, desk: Any = None) -> None:
        self._order, self._desk = order, desk
        self._job: Job | None = None
        self._reader: Reader | None = None
        self._older: Known | None = None
        self._open = ExitStack()  # closed when the process ends
        self._shared: Any = None  # the memory of the weights, if they are shared on the node

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shard that a batch names; an error of minembed is returned, since Ray would wrap it."""
        number = int(batch["shard"][0])
        result = {"shard": number, "cut": 0, "reused": 0, "error": "", "message": "", "errno": -1, "node": node_name()}
        try:
            self._begin(number)
            made = self.make(number)
            result |= {"cut": made.cut, "reused": made.reused}
        except MinembedError as error:
            code = getattr(error, "errno", None)
            result |= {"error": type(error).__name__, "message": str(error), "errno": -1 if code is None else code}
        return {name: np.array([value]) for name, value in result.items()}

    def _begin(self, number: int) -> None:
        """Raise SourceError if a shard was begun too often: its workers died each time."""
        begun = 1 if self._desk is None else ray_module().get(self._desk.begin.remote(number))
        if begun > MOST_BEGUN:
            raise SourceError(
                f"shard {number} of {self._order.request.folder} was lost {MOST_BEGUN} times, as its worker died each "
                "time, most likely for lack of memory: take nodes with more of it, fewer workers per node (--threads), "
                "or smaller shards (--shard-rows) in a new folder; other shards are kept, and the same call continues"
            )

    def make(self, number: int) -> Made:
        """Make a shard."""
        if self._job is None or self._reader is None:
            self._job = _job_here(self._order, self._model)
            self._older = self._open.enter_context(older_vectors(self._job))
            self._reader = Reader(self._job.inputs, self._job.plan)
        return make_shards(self._job, self._reader, [number], lambda _: None, self._older)

    def _model(self) -> Embedder:
        """The model that the workers of this node share, or, if there is none, a separate one."""
        if self._desk is None:
            return _loaded(self._order)
        ray = ray_module()
        node = ray.get_runtime_context().get_node_id()
        while (found := ray.get(self._desk.weights.remote(node))) == "wait":
            time.sleep(LOOK)
        if found == "load":
            found = None
            try:
                found = [ray.put(packed(_loaded(self._order)))]
            except ray.exceptions.RayError:  # there is no memory for it
                return _loaded(self._order)
            finally:
                ray.get(self._desk.offer.remote(node, found or []))
        try:
            self._shared = ray.get(found[0])
        except ray.exceptions.RayError:  # the worker that loaded it is gone, with the model
            ray.get(self._desk.offer.remote(node, []))
            return _loaded(self._order)
        return unpacked(self._shared)


def _loaded(order: Order) -> Embedder:
    return assembled(Embedder, order.checkpoint, order.found, order.backend, order.dtype, order.threads)


def _job_here(order: Order, model_of: Callable[[], Embedder]) -> Job:
    """The job on this node; raises InputError if its folder, files or model are different here."""
    request = order.request
    if order.version != __version__:
        raise InputError(f"minembed {__version__} is installed here, and the job was begun by {order.version}")
    plan = begun_plan(request.folder)
    if plan is None or plan.identity() != order.job:
        raise InputError(f"{request.folder} does not hold the job here: the folder must be one folder for all nodes")
    for folder in (order.checkpoint.folder, order.checkpoint.weights, *map(as_place, request.inputs)):
        if not folder.exists():
            raise InputError(f"{folder} is not there: model and inputs must have the same paths on all nodes")
    model = model_of()
    return Job(request, model, *plan_job(request, model))


def node_name() -> str:
    """The name of this worker's node: the machine, and the beginning of Ray's id for it."""
    return f"{platform.node()}/{ray_module().get_runtime_context().get_node_id()[:6]}"
