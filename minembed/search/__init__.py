"""Exact search: similarities, top-k, mining, and the index with its files.  Needs vectors, and no model."""
