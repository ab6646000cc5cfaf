"""`python -m minembed.cli`, for an environment whose scripts are not on the PATH."""

from minembed.cli import main

main(prog_name="minembed")
