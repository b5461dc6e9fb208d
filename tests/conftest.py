"""Shared fixtures."""

import os
import shutil

import hypothesis
import keras
import pytest

import cae_lessons as cae

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-sandbox"]

# The same examples in every run: a test that fails here fails everywhere.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=100)
hypothesis.settings.load_profile("fixed")


# Not called `seed`: a test with a parameter of that name would replace it.
@pytest.fixture(autouse=True)
def same_start():
    """Draw the same initial weights in every run, where a test names no seed of its own."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def digits():
    """Return the packaged MNIST; its arrays are read-only, so that no test changes another's."""
    digits = cae.load_mnist()
    for split in digits:
        for array in split:
            array.flags.writeable = False
    return digits


@pytest.fixture(scope="session")
def browser_path():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"CI needs a browser, one of {', '.join(BROWSERS)}")
    return found or pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")


@pytest.fixture(scope="session")
def browser(browser_path):
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=QUIET)
        yield browser
        browser.close()
