"""Fixtures of the kernels' tests."""

import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of this test's own."""
    monkeypatch.setenv("MINEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("numba.core.config.CACHE_DIR", "")
    return tmp_path / "cache"
