"""What `import minembed` costs, NumPy included."""


def main(folder, threads, work, mark):
    import minembed  # noqa: F401

    mark("import")
