"""What `import numpy` costs."""


def main(folder, threads, work, mark):
    import numpy  # noqa: F401

    mark("import")
