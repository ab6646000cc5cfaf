"""The reference's pools of processes: here the threads of a model do the work, with the same results."""

from collections.abc import Sequence
from typing import Any

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import check_whole
from minembed.sentence_transformers.tensors import check_device

KEYS = ("input", "output", "processes")


def start_pool(target_devices: Sequence[str] | None) -> dict[str, Any]:
    """A pool for these devices, all of them the CPU; by default for four.

    >>> start_pool(["cpu", "cpu"])["processes"]
    ['cpu', 'cpu']
    """
    devices = ["cpu"] * 4 if target_devices is None else list(target_devices)
    for device in devices:
        check_device(device)
    return {"input": None, "output": None, "processes": devices}


def stop_pool(pool: dict[str, Any]) -> None:
    """Stop a pool; `check_pool` refuses it from then on.

    >>> stop_pool(start_pool(None))
    """
    check_pool(pool, None, None)
    pool["processes"].clear()


def check_pool(pool: Any, device: Any, chunk_size: object) -> None:
    """Raise InputError or InputTypeError for a pool that is invalid or stopped, or for devices other than the CPU.

    >>> check_pool(None, ["cpu", "cpu"], None)
    """
    for each in device if isinstance(device, list | tuple) else [device]:
        check_device(each)
    if chunk_size is not None:
        check_whole("chunk_size", chunk_size, also=", or None")
    if pool is None:
        return
    if not isinstance(pool, dict) or not set(KEYS) <= set(pool):
        raise InputTypeError(f"pool is {type(pool).__name__}: give what start_multi_process_pool returned")
    if not pool["processes"]:
        raise InputError("the pool was stopped: start another with start_multi_process_pool")
