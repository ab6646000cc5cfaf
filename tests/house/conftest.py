"""The package as a wheel lays it."""

import shutil

import pytest
from modules_of_package import PACKAGES


@pytest.fixture(scope="session")
def laid_out(tmp_path_factory):
    """The three folders as a wheel lays them: an editable install hides minembed.kernels from what reads folders."""
    folder = tmp_path_factory.mktemp("laid")
    for package, source in PACKAGES.items():
        shutil.copytree(source, folder / package.replace(".", "/"), ignore=shutil.ignore_patterns("__pycache__"))
    return folder
