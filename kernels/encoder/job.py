"""The words of a job, through which a call and its helper share work (sharing.py)."""

TICKET, DONE = 0, 8  # written by both, each on a separate cache line
CLOSED, SHARED, BEGUN = 16, 17, 18  # written only by the caller; SHARED: whether to share at all
FIELDS = 24  # where the description of the product begins
JOB_WORDS = 48  # int64 in all
