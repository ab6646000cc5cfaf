"""The words of a job, in which a call and its helper post what there is to do (sharing.py)."""

TICKET, DONE, CLOSED, SHARED = 0, 8, 16, 17  # what both write has a cache line each; SHARED: whether to share at all
FIELDS = 24  # where the description of the product begins
JOB_WORDS = 48  # int64 in all
