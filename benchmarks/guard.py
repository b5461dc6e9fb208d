"""Whether training is still as many times faster than Keras' `fit` as it was.

Ratios, not times: another machine, or a busy one, slows both.  Both use oneDNN here, as without it
Keras' share depends on the processor.
"""

from benchmarks import steps
from benchmarks.table import ratio, table

RIVAL = "keras with oneDNN"
MARGIN = 1.5  # how many times slower a step may have become


def guard(stored, repeats=5):
    """Compare a quick run with stored results; return what is slower, as text, or None."""
    found = steps.measure(repeats, contenders=("ours", RIVAL))
    speed_ups = {net: (speed_up(stored, net), speed_up(found, net)) for net in found["nets"]}
    rows = [[net, ratio(before), ratio(now)] for net, (before, now) in speed_ups.items()]
    print(table([f"{RIVAL} / ours", "stored", "now"], rows))
    slower = [net for net, ratios in speed_ups.items() if has_slowed(*ratios)]
    return f"slower than {MARGIN} times before: {', '.join(slower)}" if slower else None


def speed_up(results, net):
    """Return how many times longer than ours the rival's step takes."""
    return results["nets"][net]["contenders"][RIVAL]["ratio"]


def has_slowed(before, now):
    """Whether even the best turn now is below the worst turn before by more than the margin.

    Examples
    --------
    >>> before = {"min": 1.8}
    >>> has_slowed(before, {"max": 1.3}), has_slowed(before, {"max": 1.1})
    (False, True)
    """
    return now["max"] * MARGIN < before["min"]
