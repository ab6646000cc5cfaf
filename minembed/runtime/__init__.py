"""The base of all other packages: backends, threads, progress, folders, files, arrays on disk, checks of arguments."""
