"""Whether training is still as many times faster than Keras' defaults as it was.

Ratios, not times: another machine, or a busy one, slows both.
"""

from benchmarks import steps
from benchmarks.table import ratio, table

MARGIN = 1.3  # how many times slower a step may have become


def guard(stored, repeats=5):
    """Compare a quick run with stored results; return what is slower, as text, or None."""
    found = steps.measure(repeats, contenders=("ours", "keras"))
    speed_ups = {net: (speed_up(stored, net), speed_up(found, net)) for net in found["nets"]}
    rows = [[net, ratio(before), ratio(now)] for net, (before, now) in speed_ups.items()]
    print(table(["Keras' defaults / ours", "stored", "now"], rows))
    slower = [net for net, ratios in speed_ups.items() if has_slowed(*ratios)]
    return f"slower than {MARGIN} times before: {', '.join(slower)}" if slower else None


def speed_up(results, net):
    """Return how many times longer than ours Keras' step takes."""
    return results["nets"][net]["contenders"]["keras"]["ratio"]


def has_slowed(before, now):
    """Whether a speed-up fell by more than the margin.

    Examples
    --------
    >>> has_slowed({"median": 1.5}, {"median": 1.4}), has_slowed({"median": 1.5}, {"median": 1.1})
    (False, True)
    """
    return now["median"] * MARGIN < before["median"]
