"""The queue alone: what is taken together, in which order, and what becomes of jobs that fail or leave."""

import threading
import time
from collections import Counter

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed.serve.queue import ClosedError, FullError, Job, Queue
from minembed.serve.workers import Workers, computed


class Fake:
    """A lane that counts what it computes, and fails for the texts "bad"."""

    def __init__(self):
        self.seen = []

    def compute(self, parts, together):
        texts = [text for part in parts for text in part.job.asked[part.start : part.stop]]
        if "bad" in texts:
            raise ValueError("a bad text")
        self.seen += texts
        return [[text.upper() for text in part.job.asked[part.start : part.stop]] for part in parts]


def job(lane, *sizes, name="text"):
    return Job(lane, [f"{name}{i}" for i in range(len(sizes))], sizes)


def shown(chunk, names):
    return [(names[part.job], part.start, part.stop) for part in chunk.parts]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1e-6
        return self.now


def test_what_waits_is_taken_together_in_order():
    queue, lane = Queue(threads=1), Fake()
    jobs = [job(lane, 10), job(lane, 20, 30), job(lane, 5)]
    for one in jobs:
        queue.put(one)
    chunk = queue.take()
    assert [part.job for part in chunk.parts] == jobs and chunk.tokens == 65 and chunk.together
    assert queue.tokens == queue.jobs == 0


def test_every_idle_core_gets_its_share():
    queue, lane, chunks = Queue(threads=3), Fake(), []
    threads = [threading.Thread(target=lambda: chunks.append(queue.take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    while queue._idle < 3:
        time.sleep(0.001)
    queue.put(job(lane, *[10] * 60))
    for thread in threads:
        thread.join(10)
    assert [(chunk.tokens, chunk.together) for chunk in chunks] == [(200, False)] * 3 and not queue.tokens


def test_a_lone_chunk_may_use_all_cores():
    queue, lane, chunks = Queue(threads=2), Fake(), []
    threads = [threading.Thread(target=lambda: chunks.append(queue.take())) for _ in range(2)]
    for thread in threads:
        thread.start()
    while queue._idle < 2:
        time.sleep(0.001)
    queue.put(job(lane, 12))
    while not chunks:
        time.sleep(0.001)
    queue.put(job(lane, 12))
    for thread in threads:
        thread.join(10)
    assert [chunk.together for chunk in chunks] == [True, False]  # the other core was busy then


def test_a_query_comes_before_what_is_left_of_a_bulk():
    queue, lane = Queue(threads=2, clock=Clock()), Fake()
    bulk = [job(lane, *[100] * 200) for _ in range(5)]
    for one in bulk:
        queue.put(one)
    assert sum(queue.take().tokens for _ in range(2)) <= 2048  # both cores are busy
    query = job(lane, 12)
    queue.put(query)
    assert queue.take().parts[0].job is query  # and the next chunk begins with the query


def test_a_query_to_another_model_comes_before_a_bulk():
    queue, bulk_lane, lane = Queue(threads=1, clock=Clock()), Fake(), Fake()
    queue.put(job(bulk_lane, *[100] * 200))
    queue.take()
    query = job(lane, 12)
    queue.put(query)
    assert [part.job for part in queue.take().parts] == [query]


def test_a_bulk_gets_on_beside_queries_without_end():
    clock = Clock()
    queue, bulk_lane, lane = Queue(threads=1, clock=clock), Fake(), Fake()
    bulk, same = job(bulk_lane, *[100] * 30), job(lane, *[100] * 30)
    queue.put(bulk)
    queue.put(same)
    taken = Counter()
    for _ in range(100):
        for _ in range(20):
            queue.put(job(lane, 200))
        clock.now += 0.1
        chunk = queue.take()
        taken.update({part.job: part.stop - part.start for part in chunk.parts if part.job in (bulk, same)})
        for part in [*queue._lanes[lane].small] if lane in queue._lanes else []:
            queue.cancel(part)
    assert taken[same] == 30  # a quarter of the chunks of its own lane
    assert taken[bulk] >= 30  # a chunk a second, at least


def test_large_jobs_share_a_chunk():
    queue, lane = Queue(threads=1), Fake()
    jobs = [job(lane, *[50] * 100) for _ in range(4)]
    for one in jobs:
        queue.put(one)
    chunk = queue.take()
    assert Counter(part.job for part in chunk.parts).keys() == set(jobs) and 974 <= chunk.tokens <= 1024


def test_an_item_larger_than_a_chunk_is_one():
    queue, lane = Queue(threads=1, chunk_tokens=100), Fake()
    queue.put(job(lane, 500, 10))
    assert [queue.take().tokens for _ in range(2)] == [500, 10]


def test_the_bounds():
    queue, lane = Queue(threads=1, max_tokens=100, max_jobs=3), Fake()
    queue.put(job(lane, 1000))  # alone it may be larger
    with pytest.raises(FullError, match="1000 tokens of 1 requests wait") as full:
        queue.put(job(lane, 1))
    assert full.value.retry_after == 1
    chunk = queue.take()
    queue.finish(chunk, [[]], seconds=100.0)  # ten tokens a second
    for size in (50, 40, 10):
        queue.put(job(lane, size))
    with pytest.raises(FullError) as full:
        queue.put(job(lane, 1))
    assert full.value.retry_after == 10  # 100 tokens wait
    assert queue.tokens == 100


def test_cancelled_jobs_leave():
    queue, lane = Queue(threads=1), Fake()
    stays, goes = job(lane, 10), job(lane, *[100] * 50)
    queue.put(goes)
    queue.put(stays)
    queue.cancel(goes)
    assert (queue.tokens, queue.jobs) == (10, 1)
    queue.cancel(goes)
    queue.cancel(job(lane, 1))  # never came
    assert [part.job for part in queue.take().parts] == [stays]
    queue.put(goes := job(lane, *[100] * 50))
    chunk = queue.take()
    queue.cancel(goes)  # what is being computed goes on
    assert queue.tokens == queue.jobs == 0 and not queue._lanes
    assert queue.finish(chunk, [[]], 1.0) == []


def test_a_poisoned_job_fails_alone():
    queue, lane = Queue(threads=1), Fake()
    good, bad, other = job(lane, 1, 1), Job(lane, ["fine", "bad"], [1, 1]), job(lane, 1)
    for one in (good, bad, other):
        queue.put(one)
    chunk = queue.take()
    done = queue.finish(chunk, computed(lane, chunk.parts, False), 0.1)
    assert [one.error for one in done][::2] == [None, None] and isinstance(done[1].error, ValueError)
    assert good.results() == [["TEXT0", "TEXT1"]] and other.results() == [["TEXT0"]]


def test_what_is_left_of_a_failed_job_leaves():
    queue, lane = Queue(threads=1, chunk_tokens=64), Fake()
    bad = Job(lane, ["bad", *["x"] * 99], [64] * 100)
    queue.put(bad)
    chunk = queue.take()
    assert queue.finish(chunk, computed(lane, chunk.parts, False), 0.1) == [bad]
    assert queue.tokens == queue.jobs == 0


def test_a_closed_queue_takes_no_more_and_is_emptied():
    queue, lane = Queue(threads=1), Fake()
    queue.put(job(lane, 1))
    queue.close()
    with pytest.raises(ClosedError):
        queue.put(job(lane, 1))
    assert queue.take() is not None and queue.take() is None


@examples(200)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(1, 300), min_size=1, max_size=30)), max_size=40),
    st.integers(1, 4),
    st.integers(1, 400),
)
def test_every_item_is_computed_once(jobs, threads, chunk_tokens):
    queue = Queue(threads=threads, chunk_tokens=chunk_tokens, max_tokens=10**9, max_jobs=10**9)
    lanes = [Fake() for _ in range(3)]
    waiting = [job(lanes[lane], *sizes) for lane, sizes in jobs]
    for one in waiting:
        queue.put(one)
    done = []
    while queue.jobs:
        chunk = queue.take()
        assert {part.job.lane for part in chunk.parts} == {chunk.lane}
        items = sum(part.stop - part.start for part in chunk.parts)
        assert items == 1 or chunk.tokens <= max(64, chunk_tokens)
        done += queue.finish(chunk, computed(chunk.lane, chunk.parts, False), 0.1)
    assert len(done) == len(waiting) and set(done) == set(waiting) and queue.tokens == 0
    for one in waiting:
        assert [text for part in one.results() for text in part] == [text.upper() for text in one.asked]


def test_threads_compute_what_many_put():
    queue, lanes = Queue(threads=3, max_jobs=10**6), [Fake(), Fake()]
    done, all_done, expected = [], threading.Event(), 8 * 50

    def deliver(jobs):
        done.extend(jobs)
        if len(done) == expected:
            all_done.set()

    workers = Workers.start(queue, deliver)

    def put(n):
        for i in range(50):
            queue.put(job(lanes[(n + i) % 2], *[7] * (1 + i), name=f"{n}-"))

    putters = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in putters:
        thread.start()
    assert all_done.wait(20)
    workers.stop(timeout=5)
    assert all(not thread.is_alive() for thread in workers.threads)
    assert len(set(done)) == expected and all(not one.error and not one.left for one in done)
