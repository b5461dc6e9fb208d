"""Turn by turn: a machine's pace drifts, so contenders alternate and are compared turn by turn."""

import statistics
import time


def in_turn(contenders, repeats):
    """Warm up, take turns, and compare with the first contender."""
    take_turns(contenders, 1)
    return compare(take_turns(contenders, repeats), next(iter(contenders)))


def take_turns(contenders, repeats):
    """Let all contenders measure once, then all again from the second on: A B C, B C A, and so on.

    Parameters
    ----------
    contenders : dict of str to callable
        Each returns the seconds that it measured.
    repeats : int

    Returns
    -------
    dict of str to list of float
    """
    seconds = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds[name].append(contenders[name]())
    return seconds


def stopwatch(function, calls=1):
    """Return a function that returns the seconds of one call of `function`, of several the mean."""

    def measure():
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls

    return measure


def summary(values):
    """Return the median, the least and the largest of some numbers.

    Examples
    --------
    >>> summary([3, 1, 2])
    {'median': 2, 'min': 1, 'max': 3}
    """
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(seconds, baseline="ours"):
    """Summarise each contender's seconds, and how many times those of the baseline they are.

    Each turn is compared with the baseline's turn beside it, and the ratios are summarised.

    Examples
    --------
    >>> compare({"ours": [1, 2, 4], "theirs": [2, 4, 12]})["theirs"]["ratio"]
    {'median': 2.0, 'min': 2.0, 'max': 3.0}
    """
    return {
        name: {
            "seconds": summary(values),
            "ratio": summary([v / b for v, b in zip(values, seconds[baseline], strict=True)]),
        }
        for name, values in seconds.items()
    }
