"""What NumPy and Numba alone take up, before any kernel."""


def main(folder, threads, work, mark):
    import numba  # noqa: F401

    mark("import")
