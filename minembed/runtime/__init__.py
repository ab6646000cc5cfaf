"""What every room stands on: backends, threads, progress, folders, files, arrays on disk and checks of arguments."""
