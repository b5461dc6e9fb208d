import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cae_lessons import scores

few_values = st.lists(st.integers(-3, 3), min_size=1, max_size=12)  # so that ties come


@given(few_values, few_values)
def test_area_is_the_share_of_pairs(usual, odd):
    wins = sum((o > u) + (o == u) / 2 for o in odd for u in usual)
    assert scores.area_under_curve(usual, odd) == pytest.approx(wins / len(usual) / len(odd))


@given(few_values, few_values)
def test_curve_is_what_each_threshold_counts(usual, odd):
    false_alarms, hits = scores.roc_curve(usual, odd)
    expected = {(0.0, 0.0)}
    for threshold in {*usual, *odd}:
        expected.add(
            (
                sum(u >= threshold for u in usual) / len(usual),
                sum(o >= threshold for o in odd) / len(odd),
            )
        )
    assert set(zip(false_alarms.tolist(), hits.tolist(), strict=True)) == expected
    assert (np.diff(false_alarms) >= 0).all()
    assert (np.diff(hits) >= 0).all()


@given(few_values, few_values)
def test_area_is_that_under_the_curve(usual, odd):
    false_alarms, hits = scores.roc_curve(usual, odd)
    area = np.sum(np.diff(false_alarms) * (hits[1:] + hits[:-1]) / 2)
    assert scores.area_under_curve(usual, odd) == pytest.approx(area)


@pytest.mark.parametrize("score", [scores.area_under_curve, scores.roc_curve])
@pytest.mark.parametrize(("usual", "odd", "name"), [([], [1], "usual"), ([1], [np.nan], "odd")])
def test_impossible_scores_are_named(score, usual, odd, name):
    with pytest.raises(ValueError, match=f"{name} must be at least one number and no NaN"):
        score(usual, odd)


@pytest.fixture
def codes():
    random = np.random.default_rng(0)
    known, unknown = random.normal(size=(40, 3, 2)), random.normal(size=(600, 3, 2))
    return known, random.integers(0, 4, 40), unknown, random.integers(0, 4, 600)


def test_nearest_neighbour_by_plain_loops(codes):
    known, known_labels, unknown, labels = codes
    right = 0
    for code, label in zip(unknown, labels, strict=True):
        distances = [((code - each) ** 2).sum() for each in known]
        right += known_labels[int(np.argmin(distances))] == label
    assert scores.neighbour_accuracy(known, known_labels, unknown, labels) == right / 600


def test_probe_is_ridge_regression_chosen_by_leaving_one_out(codes):
    known, known_labels, unknown, labels = codes
    scale, mean = known.reshape(40, -1).std(), known.reshape(40, -1).mean(axis=0)
    x, z = ((each.reshape(-1, 6) - mean) / scale for each in (known, unknown))
    x, z = (np.hstack([each, np.ones((len(each), 1))]) for each in (x, z))
    y = np.eye(4)[known_labels]

    def fit(x, y, ridge):
        return np.linalg.solve(x.T @ x + ridge * np.eye(7), x.T @ y)

    def left_out(ridge):
        rest = [np.arange(40) != i for i in range(40)]
        answers = [(x[i] @ fit(x[r], y[r], ridge)).argmax() for i, r in enumerate(rest)]
        return np.mean(answers == known_labels)

    best = max(scores.RIDGE, key=left_out)
    expected = np.mean((z @ fit(x, y, best)).argmax(axis=1) == labels)
    assert scores.probe_accuracy(known, known_labels, unknown, labels) == pytest.approx(expected)


def test_probe_of_codes_without_information_guesses():
    labels = np.arange(100) % 10
    assert scores.probe_accuracy(np.zeros((100, 5)), labels, np.zeros((100, 5)), labels) == 0.1
