"""Shared fixtures."""

import hypothesis
import pytest

import cae_lessons as cae

# The same examples in every run: a test that fails here fails everywhere.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=100)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def digits():
    """Return the packaged MNIST; its arrays are read-only, so that no test changes another's."""
    digits = cae.load_mnist()
    for split in digits:
        for array in split:
            array.flags.writeable = False
    return digits
