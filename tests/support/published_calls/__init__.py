"""Every call on sentence-transformers' published pages, in words and texts of our own.

The pages are those of its repository in August 2026 (version 6.1 and 6.2), from README to the reference: what they do
with texts on a CPU, and of all other work one line for each thing.  A call that several pages make stands on each.
"""

from published_calls import cross_encoders, embeddings, evaluators, methods, moving, searching, utilities
from published_calls.call import KINDS, PAGES, Call

FILES = (embeddings, searching, cross_encoders, evaluators, methods, utilities, moving)
CALLS = sorted((call for file in FILES for call in file.CALLS), key=lambda call: list(PAGES).index(call.page))
BY_NAME = {call.name: call for call in CALLS}
assert len(BY_NAME) == len(CALLS), sorted({call.name for call in CALLS if BY_NAME[call.name] is not call})

__all__ = ["BY_NAME", "CALLS", "KINDS", "PAGES", "Call"]
