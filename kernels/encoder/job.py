"""The words of a job, in which a call and its helper post what there is to do (sharing.py)."""

TICKET, DONE = 0, 8  # what both write has a cache line each
CLOSED, SHARED, BEGUN = 16, 17, 18  # what only the caller writes; SHARED: whether to share at all
FIELDS = 24  # where the description of the product begins
JOB_WORDS = 48  # int64 in all
