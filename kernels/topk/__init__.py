"""Exact top-k: scans that note candidates with the interval of their score, and float64 that decides."""
