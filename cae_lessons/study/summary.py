"""Tables of the records: how many runs trained, how sure that is, and how low they ended."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from cae_lessons.study.records import load

NOTHING = "–"


def select(
    variants: Mapping[str, str | Mapping[str, Any]],
    records: pd.DataFrame | None = None,
    column: str = "label",
) -> pd.DataFrame:
    """Return the records of some variants, under labels of your own.

    Parameters
    ----------
    variants : dict of str to str or dict
        Labels, and the variants that they stand for: their names, or what `variant` returns.
    records : pandas.DataFrame, optional
        By default those that come with the package, as `load` returns them.
    column : str
        The name of the new column that holds the labels.

    Returns
    -------
    pandas.DataFrame
        One row per run, in the order of the labels.

    Raises
    ------
    ValueError
        There is no record of one of the variants.

    Examples
    --------
    >>> relus = select({"two relus": "nearest/relu-relu/200-steps"})
    >>> relus.label.unique().tolist(), len(relus)
    (['two relus'], 8)
    """
    records = load() if records is None else records
    parts = []
    for label, each in variants.items():
        name = each if isinstance(each, str) else each["variant"]
        rows = records[records["variant"] == name]
        if rows.empty:
            raise ValueError(f"there is no record of the variant {name!r}")
        parts.append(rows.assign(**{column: label}))
    return pd.concat(parts, ignore_index=True)


def interval(count: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact confidence interval of a rate that was measured by counting.

    A rate lies in the interval if neither so few nor so many successes would be a surprise, that
    is, if each has a probability of at least (1 − level) / 2.

    Parameters
    ----------
    count : int
        The number of successes.
    runs : int
        The number of runs, 1 or more.
    level : float
        The confidence level, between 0 and 1.

    Returns
    -------
    low, high : float

    Raises
    ------
    ValueError
        `count` isn't between 0 and `runs`, or `level` isn't between 0 and 1.

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", 1934.

    Examples
    --------
    >>> [round(limit, 3) for limit in interval(3, 8)]
    [0.085, 0.755]
    """
    if not 0 <= count <= runs or runs < 1:
        raise ValueError(f"count must be between 0 and runs, 1 or more; got {count} of {runs}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    surprise = (1 - level) / 2
    # The more often successes come, the rarer a small count: both limits are found by bisection.
    low = _bisect(lambda rate: _at_most(count - 1, runs, rate) > 1 - surprise) if count else 0.0
    high = _bisect(lambda rate: _at_most(count, runs, rate) > surprise) if count < runs else 1.0
    return low, high


def counts(
    records: pd.DataFrame,
    by: str | Sequence[str] = "variant",
    verdict: str | Collection[str] = "trained",
) -> pd.DataFrame:
    """Count the runs that trained, with the exact 95 % interval of their share.

    Parameters
    ----------
    records : pandas.DataFrame
        As `load` or `select` returns them.
    by : str or sequence of str
        The column, or columns, whose values tell the groups apart.
    verdict : str or collection of str
        What is counted; the column is named after it, or after the first of several.

    Returns
    -------
    pandas.DataFrame
        One row per group, in the records' order: how many `trained`, of how many `runs`, their
        `share`, and its limits, `at least` and `at most`.

    Examples
    --------
    >>> nearest = select({"two sigmoids": "nearest/sigmoid-sigmoid/200-steps"})
    >>> counts(nearest, "label", ["trained", "untrained"])[["trained", "runs"]].values.tolist()
    [[3, 8]]
    """
    wanted = [verdict] if isinstance(verdict, str) else list(verdict)
    hits = records["verdict"].isin(wanted).groupby(_keys(records, by), sort=False, dropna=False)
    table = hits.agg(["sum", "size"]).set_axis([wanted[0], "runs"], axis="columns")
    limits = [interval(*map(int, row)) for row in table.to_numpy()]
    table["share"] = table[wanted[0]] / table["runs"]
    table[["at least", "at most"]] = limits
    return table


def losses(
    records: pd.DataFrame,
    by: str | Sequence[str] = "variant",
    of: str = "test_loss",
    verdict: str | Collection[str] | None = "trained",
) -> pd.DataFrame:
    """Return the median and the range of a loss, over the runs that trained.

    Parameters
    ----------
    records : pandas.DataFrame
        As `load` or `select` returns them.
    by : str or sequence of str
        The column, or columns, whose values tell the groups apart.
    of : str
        The column that is summarized: `test_loss`, `test_cross_entropy`, `excess`, `loss_100`, …
    verdict : str, collection of str or None
        Which runs count; with None, all of them.

    Returns
    -------
    pandas.DataFrame
        One row per group, in the records' order: the number of `runs` that count, and the
        `lowest`, the `median` and the `highest` of their losses, NaN where no run counts.

    Examples
    --------
    >>> strided = select({"strided": "strided/relu-relu/200-steps"})
    >>> losses(strided, "label")["median"].round(4).tolist()
    [0.0031]
    """
    wanted = [verdict] if isinstance(verdict, str) else verdict
    values = records[of].astype(float)
    if wanted is not None:
        values = values.where(records["verdict"].isin(list(wanted)))
    grouped = values.groupby(_keys(records, by), sort=False, dropna=False)
    names = ["runs", "lowest", "median", "highest"]
    return grouped.agg(["count", "min", "median", "max"]).set_axis(names, axis="columns")


def summary(records: pd.DataFrame, by: str = "variant", of: str = "test_loss") -> pd.DataFrame:
    """Return a table to be shown: how many runs trained, how sure that is, and their losses.

    Parameters
    ----------
    records : pandas.DataFrame
        As `load` or `select` returns them.
    by : str
        The column whose values tell the groups apart.
    of : str
        The loss, as for `losses`.

    Returns
    -------
    pandas.DataFrame
        Text, one row per group, in the records' order: `counts` and `losses` side by side, with
        three significant digits, and "–" where no run trained.

    Examples
    --------
    >>> summary(select({"strided": "strided/relu-relu/200-steps"}), "label").loc["strided"].tolist()
    ['6 of 8', '35–97 %', '0.00241', '0.00306', '0.00375']
    """
    counted, measured = counts(records, by), losses(records, by, of)
    limits = zip(counted["at least"], counted["at most"], strict=True)
    table = {
        "trained": [f"{row.trained} of {row.runs}" for row in counted.itertuples()],
        "95 % interval": [f"{100 * low:.0f}–{100 * high:.0f} %" for low, high in limits],
    } | {name: measured[name].map(_three_digits) for name in ("lowest", "median", "highest")}
    return pd.DataFrame(table, index=counted.index).rename_axis(index=None, columns=by)


def cross_table(
    records: pd.DataFrame,
    rows: str | Sequence[str],
    columns: str | Sequence[str],
    verdict: str | Collection[str] = "trained",
) -> pd.DataFrame:
    """Return a table of how many runs trained, by two settings.

    Parameters
    ----------
    records : pandas.DataFrame
        As `load` or `select` returns them.  All runs that share a cell are counted together.
    rows, columns : str or sequence of str
        The settings whose values name the rows and the columns.
    verdict : str or collection of str
        What is counted.

    Returns
    -------
    pandas.DataFrame
        Text, as in "3 of 8", and "–" where nothing ran.  Rows and columns are in the records'
        order.

    Examples
    --------
    >>> net = load().query("variant.str.startswith('nearest/relu-relu/') and steps == 200")
    >>> net = net[net.stddev.notna() & ~net.decoder_bias]
    >>> cross_table(net, "stddev", "learning_rate").loc[0.02].tolist()
    ['5 of 8', '7 of 8', '7 of 8']
    """
    rows, columns = ([each] if isinstance(each, str) else list(each) for each in (rows, columns))
    counted = counts(records, [*rows, *columns], verdict)
    text = counted.iloc[:, 0].astype(str) + " of " + counted["runs"].astype(str)
    table = text.unstack(columns)
    return table.reindex(index=_order(records, rows), columns=_order(records, columns)).fillna(
        NOTHING
    )


def _keys(records, by):
    return [records[each] for each in ([by] if isinstance(by, str) else by)]


def _order(records, columns):
    """Return the values of some columns in the order in which they come."""
    if len(columns) == 1:
        return pd.Index(records[columns[0]].unique(), name=columns[0])
    return pd.MultiIndex.from_frame(records[list(columns)].drop_duplicates())


def _at_most(count, runs, rate):
    """Return the probability of at most so many successes."""
    logs = [
        math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1)
        + k * math.log(rate) + (runs - k) * math.log1p(-rate)
        for k in range(count + 1)
    ]  # fmt: skip
    return math.fsum(map(math.exp, logs))


def _bisect(is_below):
    """Return where, between 0 and 1, a condition ceases to hold."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _three_digits(value):
    if math.isnan(value):
        return NOTHING
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(decimals, 0)}f}"
