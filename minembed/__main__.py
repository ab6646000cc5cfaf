"""`python -m minembed` is `minembed`, for an environment whose scripts are not on the PATH."""

from minembed.cli import main

main(prog_name="minembed")
