"""One offline page about two texts: contributions of tokens, attention, layers, heads, and a map of other texts.

In reading order: `contents` (what is computed), `corpus` (other texts, and why any two of them are similar), `packing`
(compact arrays), `page` (the file).
"""

from minembed.study.report.contents import Report, report

__all__ = ["Report", "report"]
