"""The number of cores for tests."""

import os
from pathlib import Path

from minembed.runtime.threads import available_cores

TOPOLOGY = Path("/sys/devices/system/cpu")


def cores_at_hand(topology: Path = TOPOLOGY) -> int:
    """The cores that this process may use; hyperthreads of a core count as one, if Linux names them."""
    count = available_cores()
    try:
        cpus = os.sched_getaffinity(0)
        siblings = {(topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text() for cpu in cpus}
    except (AttributeError, OSError):
        return count
    return min(count, len(siblings))
