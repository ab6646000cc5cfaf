"""A helper that stays for the next query: when it does, when it leaves, and who may send it away."""

import os
import threading
import time

import numpy as np
import pytest
from any_encoder import Architecture, params_of, tokens_of
from emulated import slow_without_tiles
from hypothesis import given
from hypothesis import strategies as st
from interrupts import is_calm

from minembed.kernels.encoder.job import BEGUN, DONE, MISSED, PRESENT, SKIPPED
from minembed.kernels.encoder.tiled import order, tiled_encoder
from minembed.kernels.encoder.tiled.workspace import SHARED_ROWS
from minembed.kernels.helpers import Helper
from minembed.kernels.tiles.amx import HARDWARE
from minembed.transformer.config import Config
from minembed.transformer.quantization import lower

pytestmark = slow_without_tiles
SOON = 30  # seconds: far more than anything here takes
ONE_LAYER = Architecture(Config(29, 384, 1, 12, 1536, 512, 2, "gelu", 1e-12))
next_task = order.next_task.py_func


@pytest.fixture(autouse=True)
def own_helper(monkeypatch):
    """Every product is worth sharing, and every test has a helper of its own."""
    monkeypatch.setattr("minembed.kernels.encoder.prepared.SHARED_WORK", 0)
    helper = Helper()
    monkeypatch.setattr(tiled_encoder, "helper", helper)
    return helper


@pytest.fixture
def model():
    return tiled_encoder.pack_encoder(lower(params_of(ONE_LAYER), "bfloat16"), ONE_LAYER.config, "bfloat16")


def query(model, rows=9):
    """One call; the job at which a helper may wait afterwards."""
    model(tokens_of([rows], ONE_LAYER.config), together=True)
    return model.idle[-1].job


def until(found):
    end = time.monotonic() + SOON
    while not found():
        assert time.monotonic() < end
        time.sleep(0.0005)


@given(tasks=st.integers(1, 300), order_of=st.lists(st.sampled_from([order.CALLER, order.HELPER]), max_size=300))
def test_every_task_is_taken_once_each_half_in_order(tasks, order_of):
    ticket, taken = 7 << 32 | tasks // 2 << 16 | (tasks + 1) // 2, {order.CALLER: [], order.HELPER: []}
    for who in [*order_of, *[order.CALLER] * tasks]:
        task, left = next_task(ticket, tasks, who)
        assert (task < 0) == order.is_empty.py_func(ticket) and left >> 32 == 7
        if task < 0:
            assert left == ticket
            continue
        taken[who].append(task)
        ticket = left
    both = taken[order.CALLER] + taken[order.HELPER]
    assert sorted(both) == list(range(tasks))
    middle = (tasks + 1) // 2
    for first_half in (True, False):
        mine = [task for task in taken[order.CALLER] if (task < middle) == first_half]
        assert mine == sorted(mine)


def test_a_ticket_alone_says_that_nothing_is_left():
    """The fields may describe the next phase already, which has more tasks."""
    assert next_task(9 << 32, 12, order.HELPER)[0] == next_task(9 << 32, 1000, order.CALLER)[0] == -1


@pytest.mark.skipif(not HARDWARE, reason="emulated tiles take far longer than a helper waits")
def test_it_is_asked_once_for_queries_that_follow_each_other(model, own_helper, monkeypatch):
    asked, ask = [], own_helper.ask
    monkeypatch.setattr(own_helper, "ask", lambda work, waits: asked.append(1) or ask(work, waits))

    def fifty():
        asked.clear()
        return [query(model) for _ in range(50)][-1][DONE] > 0 and len(asked) < 40

    until(fifty)  # while other work takes all cores, it is never there in time


def test_it_leaves_soon_and_is_asked_again(model, own_helper):
    job = query(model)
    until(lambda: own_helper._last.done)
    assert job[PRESENT] == 0 and is_calm()
    done = job[DONE]
    for _ in range(200):
        query(model)
        until(lambda: own_helper._last.done)
    assert job[DONE] > done


@pytest.mark.skipif(not HARDWARE, reason="it is present only while a query is computed")
def test_waiting_in_vain_makes_it_leave_at_once(model, own_helper):
    """1, 3, 7, ... times, until a query comes while it waits."""
    job, missed = query(model), set()
    for _ in range(300):
        query(model)
        until(lambda: own_helper._last.done)
        missed.add(int(job[MISSED]))
        assert 0 <= job[SKIPPED] <= job[MISSED] <= 63
    assert {1, 3, 7} <= missed


@pytest.mark.skipif(not HARDWARE, reason="it is present only while a query is computed")
def test_who_asks_for_something_else_sends_it_away(model, own_helper, monkeypatch):
    came = 0
    for _ in range(200):
        job, done = query(model), threading.Event()
        if job[PRESENT] == 2 and own_helper.ask(done.set):
            assert done.wait(SOON)
            came += job[PRESENT] == 0
        until(lambda: own_helper._last.done)
        job[SKIPPED] = job[MISSED] = 0
    assert came > 0


def test_batches_are_none_of_its_business(model):
    """One that waits must not spin beside them."""
    query(model, SHARED_ROWS)
    scratch = model.idle[-1]
    begun = scratch.job[BEGUN]
    model(tokens_of([SHARED_ROWS], ONE_LAYER.config))
    assert scratch is model.idle[-1] and scratch.job[BEGUN] == begun


def test_two_helpers_never_share_buffers(model, monkeypatch):
    """Only one thread helps; should there be two, the second leaves."""
    threads, tokens = [], tokens_of([31], ONE_LAYER.config)

    def ask(work, waits):
        both = [threading.Thread(target=work), threading.Thread(target=work)]
        threads.extend(both)
        for thread in both:
            thread.start()
        return True

    alone = model(tokens)
    monkeypatch.setattr(tiled_encoder.helper, "ask", ask)
    for _ in range(30 if HARDWARE else 5):
        np.testing.assert_array_equal(model(tokens, together=True), alone)
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_has_no_helper_and_asks_for_one(own_helper, monkeypatch):
    """It inherits a job at which, as it says, somebody waits."""
    from minembed.kernels import helpers

    class Work:
        present = 2

        def dismiss(self):
            return False

        def forget(self):
            self.present = 0

    monkeypatch.setattr(helpers, "_helpers", [own_helper])
    work, go = Work(), threading.Event()
    assert own_helper.ask(lambda: go.wait(SOON), work)
    helpers._renew()
    go.set()
    assert work.present == 0 and own_helper._last.done
