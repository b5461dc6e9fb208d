"""Many runs at once, their records compared, and the command line."""

import argparse
import contextlib
import fnmatch
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import locket
import numpy as np
from tqdm import tqdm

from cae_lessons.study.cluster import as_they_end, connect
from cae_lessons.study.records import SETTINGS, read_records, write_records
from cae_lessons.study.run import run_task
from cae_lessons.study.variants import tasks

# How a seed reaches the optimum is chaotic, so a rerun is compared over its first steps.
COMPARED_STEPS, TOLERANCE = 5, 0.01


def run_study(
    wanted: list[dict[str, Any]],
    path: str | os.PathLike[str],
    scheduler: str | None = None,
    report: Callable[[str], Any] = print,
) -> list[str]:
    """Do the runs that a file has no record of yet, and record each one when it ends.

    Parameters
    ----------
    wanted : list of dict
        As `tasks` returns them.
    path : str or path-like
        The file of records; it is created if there is none.
    scheduler : str, optional
        The address of a Dask scheduler.  Without one, a local cluster is started, with one
        single-threaded worker process per core.
    report : callable
        Called with lines of text: what was found in the file, and each run that ended.

    Returns
    -------
    list of str
        One line for each run that failed.

    Raises
    ------
    OSError
        The file can't be read or written, or the scheduler can't be reached.
    ValueError
        The file holds something other than records.

    Notes
    -----
    Runs whose records are damaged run again if they are wanted; a copy of the damaged file is
    kept beside it.
    """
    records, damaged = read_records(path) if Path(path).exists() else ({}, [])
    if damaged and not records:
        raise ValueError(f"{path} holds no records: {damaged[0]}")
    for line in damaged:
        report(f"{path}: {line}; it stays in {path}.damaged")
    missing = [task for task in wanted if (task["variant"], task["seed"]) not in records]
    report(f"{len(wanted) - len(missing)} of {len(wanted)} runs are recorded already")
    if not missing:
        return []
    if damaged:
        shutil.copy(path, f"{path}.damaged")
    write_records(path, records)  # a read-only folder shows now, not after the first run
    failed = []
    with connect(scheduler) as client, _progress(missing) as bar:
        for task, record, error in as_they_end(client, missing):
            name = f"{task['variant']} seed {task['seed']}"
            if record is not None:
                records[task["variant"], task["seed"]] = record
                write_records(path, records)
                report(f"{name}: {record['test_loss']:.6f} {record['verdict']}")
            else:
                failed.append(f"{name}: {error}")
                report(f"{name} FAILED: {error}")
            _advance(bar, task, client, len(failed))
    return failed


def check(
    path: str | os.PathLike[str],
    count: int = 3,
    only: str = "*",
    seeds: int | None = None,
    steps: int | None = None,
) -> list[str]:
    """Run some recorded runs again and compare them with their records.

    Parameters
    ----------
    path : str or path-like
    count : int
        How many to repeat: the shortest ones, spread over the file.
    only : str
        A pattern for the variants' names, as in `tasks`.  With `steps` it may also be the pattern
        that the records were made with.
    seeds, steps : int, optional
        Only records with seeds below `seeds`, and with this number of steps.

    Returns
    -------
    list of str
        One line for each run in which a loss of the first steps differs by more than 1 %.  Later
        losses may differ on another processor: see "Why your numbers differ" in the book.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        It holds no record of such a run.
    """
    records, damaged = read_records(path)
    found = _chosen(records.values(), only, seeds, steps)
    if not found:
        limits = {"seeds below": seeds, "steps": steps}
        limits = [f"{name} {limit}" for name, limit in limits.items() if limit is not None]
        raise ValueError(f"{path} holds no record of {' and '.join([repr(only), *limits])}")
    least = min(record["steps"] for record in found)
    short = [record for record in found if record["steps"] == least]
    rerun = short[:: max(1, len(short) // count)][:count]
    return damaged + [line for record in rerun if (line := _rerun(record))]


def _chosen(records, only, seeds, steps):
    """Return the records that a pattern, a number of seeds and one of steps mean."""
    names = set()  # of what the same options make
    with contextlib.suppress(ValueError):  # the pattern may fit records, but not the grid
        names = {task["variant"] for task in tasks(only, 1, steps)}
    return [
        record
        for record in records
        if (record["variant"] in names or fnmatch.fnmatchcase(record["variant"], only))
        and (seeds is None or record["seed"] < seeds)
        and (steps is None or record["steps"] == steps)
    ]


def _rerun(record):
    """Run a record's run again, print both, and return how they differ, if they do."""
    again = run_task({name: record[name] for name in SETTINGS})
    old, new = (np.array(each["curve_loss"][:COMPARED_STEPS]) for each in (record, again))
    apart = np.max(np.abs(new / old - 1)) if new.shape == old.shape else np.inf
    name = f"{record['variant']} seed {record['seed']}"
    print(
        f"{name}: recorded {record['test_loss']:.6f} {record['verdict']}, "
        f"again {again['test_loss']:.6f} {again['verdict']}; "
        f"the first losses differ by {apart:.1e}"
    )
    return None if apart <= TOLERANCE else f"{name}: the first losses differ by {apart:.1%}"


def main(arguments: list[str] | None = None) -> int:
    """Run the study from the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.

    Returns
    -------
    int
        The exit status: 0 if all went well, 1 if a run failed or differs, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.check:
            failed = check(options.out, 3, options.only, options.seeds, options.steps)
        else:
            wanted = tasks(options.only, options.seeds, options.steps)
            if options.list:
                return _list(wanted, options.out)
            with _alone(options.out):
                failed = run_study(wanted, options.out, options.scheduler, tqdm.write)
    except (OSError, ValueError) as error:
        sys.exit(f"study: {error}")
    except KeyboardInterrupt:
        print(
            f"\nInterrupted: the runs that ended are in {options.out}. "
            "To continue, run the same command."
        )
        return 130
    print("\n".join(failed) if failed else f"All runs are in {options.out}.")
    return 1 if failed else 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m cae_lessons.study",
        description="Train a grid of variants × seeds and keep one record per run. Started again, "
        "it does only the runs that FILE has no record of. Ctrl-C loses no run that has ended.",
    )
    add = parser.add_argument
    text = "the file of records, one JSON object per line (default: %(default)s)"
    add("--out", metavar="FILE", default="study_records.jsonl", type=Path, help=text)
    text = "only variants whose name matches, as in 'nearest/*/200-steps'"
    add("--only", metavar="PATTERN", default="*", help=text)
    text = "seeds 0 to N-1 of each variant (default: all that the grid gives it)"
    add("--seeds", metavar="N", type=_positive, help=text)
    add("--steps", metavar="N", type=_positive, help="training steps instead of the grid's own")
    text = (
        "a Dask scheduler, as in tcp://10.0.0.1:8786; without it, a local cluster with one "
        "single-threaded worker process per core"
    )
    add("--scheduler", metavar="ADDRESS", help=text)
    add("--list", action="store_true", help="list the runs, say which are recorded, and exit")
    text = (
        "run a few of the recorded runs again, compare, and exit; --only, --seeds and --steps "
        "choose among the records"
    )
    add("--check", action="store_true", help=text)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, got {text!r}")
    return int(text)


def _list(wanted, path):
    records = read_records(path)[0] if path.exists() else {}
    for task in wanted:
        record = records.get((task["variant"], task["seed"]))
        state = f"{record['test_loss']:.6f} {record['verdict']}" if record else "missing"
        print(f"{task['variant']} seed {task['seed']}: {state}")
    return 0


@contextlib.contextmanager
def _alone(path):
    """Keep a second study from writing the same file; the system frees the lock at any death."""
    lock = locket.lock_file(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except locket.LockError:
        raise ValueError(f"another study is writing {path}") from None
    try:
        yield
    finally:
        lock.release()


def _progress(missing):
    """Return a bar that counts training steps, so that its time left is about right."""
    total = sum(task["steps"] for task in missing)
    bar = tqdm(total=total, unit=" steps", disable=None, dynamic_ncols=True)
    bar.done, bar.runs = 0, len(missing)
    return bar


def _advance(bar, task, client, failed):
    bar.done += 1
    running = min(bar.runs - bar.done, sum(client.nthreads().values()))
    state = {"done": f"{bar.done}/{bar.runs}", "running": running, "failed": failed}
    bar.set_postfix(state, refresh=False)
    bar.update(task["steps"])
