"""The figure of denoisers shows each run, each baseline and each floor that it is given."""

import re

import pytest

import cae_lessons as cae

against_baselines = cae.figures.against_baselines
LINES = {"do nothing": 0.08, "median filter": 0.03}


def marks(picture):
    """Count the markers, and the names that are written."""
    text = picture.data.decode()
    return text.count("<use "), re.findall(r"<!-- (.*?) -->", text)


def test_against_baselines_draws_each_run_and_names_each_row_and_line():
    few, _ = marks(against_baselines({"a net": [0.02, 0.03]}, LINES))
    more, names = marks(against_baselines({"a net": [0.02, 0.03, 0.025]}, LINES))
    assert more == few + 1
    assert {"a net", *LINES} <= set(names)


def test_against_baselines_draws_a_bar_for_each_row_with_a_floor():
    rows = {"a net": [0.02], "another": [0.03]}
    plain = against_baselines(rows, LINES).data.count(b"<path")
    assert against_baselines(rows, LINES, {"another": 0.025}).data.count(b"<path") == plain + 1


@pytest.mark.parametrize("rows", [{}, {"a net": []}])
def test_against_baselines_wants_runs(rows):
    with pytest.raises(ValueError, match="at least one row, and each row one loss"):
        against_baselines(rows, LINES)
