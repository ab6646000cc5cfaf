"""One offline page about two texts: which tokens make their score, who looks at whom, layers, heads, and other texts.

In reading order: `contents` (what is computed), `corpus` (other texts, and why any two of them are alike), `packing`
(arrays in few bytes), `page` (the file).
"""

from minembed.study.report.contents import Report, report

__all__ = ["Report", "report"]
