"""The file of records: one JSON object per line, one line per run."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cae_lessons.runs import TrainingRun, write_whole
from cae_lessons.study.variants import ARTICLE, grid

RECORDS = Path(__file__).parent.with_name("study_records.jsonl")
SETTINGS = ("variant", "net", "hidden", "output", *ARTICLE, "seed")
REQUIRED = {*SETTINGS, "curve_step", "curve_loss", "test_loss", "floor", "verdict"}


def load(path: str | os.PathLike[str] = RECORDS) -> pd.DataFrame:
    """Read the records of a study.

    Parameters
    ----------
    path : str or path-like
        By default those that come with the package.

    Returns
    -------
    pandas.DataFrame
        One row per run; `run_task` names the columns.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        A record is damaged.

    Examples
    --------
    >>> load().query("variant == 'strided/relu-relu/5000-steps'").seed.tolist()
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    records, damaged = read_records(path)
    if damaged:
        raise ValueError(f"{path}: {damaged[0]}")
    return pd.DataFrame(list(records.values()))


def curve(record: Mapping[str, Any] | pd.Series) -> TrainingRun:
    """Return a record's loss curve as a run, to be drawn by `figures.loss_curves`.

    Parameters
    ----------
    record : mapping
        A record, or a row of what `load` returns.

    Returns
    -------
    TrainingRun
        Its steps are the middles of the windows of `thin`.

    Examples
    --------
    >>> record = {"curve_step": [0, 1.5], "curve_loss": [0.2, 0.1], "seconds": 1, "steps": 3}
    >>> curve(record).loss
    [0.2, 0.1]
    """
    settings = {"steps": record["steps"]}
    step, loss = list(record["curve_step"]), list(record["curve_loss"])
    return TrainingRun(step, loss, float(record["seconds"]), settings)


def read_records(
    path: str | os.PathLike[str],
) -> tuple[dict[tuple[str, int], dict[str, Any]], list[str]]:
    """Read a file of records, one JSON object per line, leaving out damaged ones.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    records : dict of (str, int) to dict
        By variant and seed.
    damaged : list of str
        One line of text for each damaged record, with its number.

    Raises
    ------
    OSError
        The file can't be read.
    """
    records, damaged = {}, []
    lines = Path(path).read_text(errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        record = _parse(line)
        if record is None:
            damaged.append(f"line {number} isn't a complete record: {line[:60]!r}")
        else:
            records[record["variant"], record["seed"]] = record
    return records, damaged


def write_records(
    path: str | os.PathLike[str], records: Mapping[tuple[str, int], Mapping[str, Any]]
) -> None:
    """Write records to a file in the grid's order; an existing file is replaced whole or kept.

    Parameters
    ----------
    path : str or path-like
    records : dict of (str, int) to dict

    Raises
    ------
    OSError
        The file can't be written.
    """
    place = {each["variant"]: number for number, each in enumerate(grid())}
    ordered = sorted(records, key=lambda key: (place.get(key[0], len(place)), *key))
    write_whole(path, "".join(f"{json.dumps(records[key])}\n" for key in ordered))


def _parse(line):
    try:
        record = json.loads(line)
        whole = record.keys() >= REQUIRED and len(record["curve_step"]) == len(record["curve_loss"])
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
    return record if whole else None
