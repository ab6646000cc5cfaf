"""The words of a job, through which a call and its helper share work (sharing.py)."""

TICKET, DONE = 0, 8  # written by both, each on a separate cache line
CLOSED, SHARED, BEGUN = 16, 17, 18  # written only by the caller; SHARED: whether to share at all
WANTED, DISMISSED = 19, 20  # on tiles: the round that a helper was asked for; whether one that only waits should leave
FIELDS = 24  # where the description of the product begins
PRESENT, MISSED, SKIPPED = 40, 41, 42  # on tiles, written only by the helper: see tiled/lingering.py
WORKS, LINGERS = 1, 2  # what a helper that is present does
JOB_WORDS = 48  # int64 in all
