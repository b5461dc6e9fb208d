"""The study's tables: counts with exact intervals, medians and ranges, in the order asked for."""

import math

import numpy as np
import pandas as pd
import pytest

from cae_lessons import study


@pytest.fixture
def records():
    """Return eight runs of two nets, of which the second trains less often."""
    verdicts = ["trained", "trained", "untrained", "trained"] + ["collapsed"] * 3 + ["trained"]
    return pd.DataFrame(
        {
            "variant": ["wide"] * 4 + ["narrow"] * 4,
            "rate": [0.1, 0.1, 0.01, 0.01] * 2,
            "head": ["linear", "relu"] * 4,
            "seed": [0, 1, 2, 3] * 2,
            "verdict": verdicts,
            "test_loss": [0.01, 0.03, 0.09, 0.02, 0.1, 0.1, 0.1, 0.00012345],
        }
    )


def tail(at_least, runs, rate):
    """Return the probability of at least so many successes, term by term."""
    terms = (math.comb(runs, k) * rate**k * (1 - rate) ** (runs - k) for k in range(runs + 1))
    return sum(list(terms)[at_least:])


@pytest.mark.parametrize(("count", "runs"), [(3, 8), (5, 32), (8, 40), (1, 40), (20, 100), (7, 8)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_interval_ends_where_the_count_would_be_a_surprise(count, runs, level):
    low, high = study.interval(count, runs, level)
    assert tail(count, runs, low) == pytest.approx((1 - level) / 2)
    assert 1 - tail(count + 1, runs, high) == pytest.approx((1 - level) / 2)


def test_interval_of_none_and_of_all_has_a_formula():
    # (1 - p)^n = 0.025
    edge = 0.025 ** (1 / 8)
    assert study.interval(0, 8) == pytest.approx((0, 1 - edge))
    assert study.interval(8, 8) == pytest.approx((edge, 1))
    assert study.interval(0, 1) == pytest.approx((0, 0.975))


def test_interval_of_many_runs_is_the_normal_distributions():
    low, high = study.interval(5_000, 10_000)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.005, 0.5 + 1.96 * 0.005), abs=2e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9, 8), "count must be between 0 and runs.* got 9 of 8"),
        ((-1, 8), "got -1 of 8"),
        ((0, 0), "1 or more; got 0 of 0"),
        ((1, 2, 95), "level must be between 0 and 1, got 95"),
    ],
)
def test_impossible_interval_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        study.interval(*arguments)


def test_counts_are_those_of_the_groups(records):
    table = study.counts(records)
    assert table.index.tolist() == ["wide", "narrow"]  # not sorted
    assert table[["trained", "runs", "share"]].to_numpy().tolist() == [[3, 4, 0.75], [1, 4, 0.25]]
    assert table.loc["wide", ["at least", "at most"]].tolist() == list(study.interval(3, 4))
    by_two = study.counts(records, ["variant", "rate"])
    assert by_two.trained.to_dict() == {
        ("wide", 0.1): 2,
        ("wide", 0.01): 1,
        ("narrow", 0.1): 0,
        ("narrow", 0.01): 1,
    }
    lost = study.counts(records, verdict=["collapsed", "untrained"])
    assert lost.collapsed.tolist() == [1, 3]


def test_losses_are_those_of_the_runs_that_trained(records):
    table = study.losses(records)
    assert table.loc["wide"].tolist() == [3, 0.01, 0.02, 0.03]
    assert study.losses(records, verdict=None).loc["wide"].tolist() == pytest.approx(
        [4, 0.01, 0.025, 0.09]
    )
    none = study.losses(records[:-1])
    assert none.runs.tolist() == [3, 0]
    assert np.isnan(none.loc["narrow", "median"])


def test_summary_is_text_with_three_digits(records):
    table = study.summary(records)
    assert table.loc["wide"].tolist() == ["3 of 4", "19–99 %", "0.0100", "0.0200", "0.0300"]
    assert table.loc["narrow", "median"] == "0.000123"
    assert table.columns.name == "variant"  # the corner of the table has a heading
    assert study.summary(records[:-1]).loc["narrow"].tolist()[-3:] == ["–"] * 3


def test_cross_table_counts_in_each_cell(records):
    table = study.cross_table(records, "variant", "rate")
    assert table.index.tolist() == ["wide", "narrow"]
    assert table.columns.tolist() == [0.1, 0.01]
    assert table.to_numpy().tolist() == [["2 of 2", "1 of 2"], ["0 of 2", "1 of 2"]]
    gap = study.cross_table(records[:6], ["variant"], ["rate", "head"])
    assert gap.loc["narrow"].tolist() == ["0 of 1", "0 of 1", "–", "–"]
    assert gap.loc["wide", (0.01, "relu")] == "1 of 1"


def test_select_gives_labels_in_their_order(records):
    chosen = study.select({"second": "narrow", "first": {"variant": "wide"}}, records, "net")
    assert chosen.net.tolist() == ["second"] * 4 + ["first"] * 4
    assert study.counts(chosen, "net").index.tolist() == ["second", "first"]
    assert "net" not in records
    with pytest.raises(ValueError, match="there is no record of the variant 'wider'"):
        study.select({"x": "wider"}, records)
