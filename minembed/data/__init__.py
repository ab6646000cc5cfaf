"""A user's own files: texts, tables, corpora, training examples, labels and benchmarks, read; vectors, written."""
