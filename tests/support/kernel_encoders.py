"""Encoders of the kernels, for tests that compile no functions of their own."""

from unittest.mock import patch

from minembed.kernels.encoder import selftest, tier

DTYPES = ["float32", "bfloat16", "int8"]


def encoder_of(params, config, dtype):
    """The numba tier of some parameters, without its self-test."""
    with patch.object(selftest, "check", lambda *_: None):
        return tier.prepare(params, config, dtype)
