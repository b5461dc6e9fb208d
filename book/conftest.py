"""Run the notebooks as tests: few training steps, no progress bars, no start-up chatter."""

import os

os.environ.setdefault("CAE_LESSONS_STEPS", "12")
os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_itemcollected(item):
    """Give a cell's output an hour to arrive: nbval's five seconds pass on a loaded machine."""
    if hasattr(item, "output_timeout"):
        item.output_timeout = 3600
