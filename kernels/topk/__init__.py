"""Exact top-k: scans that collect candidates with intervals of their scores, and exact scoring in float64."""
