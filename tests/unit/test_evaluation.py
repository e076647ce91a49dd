"""What the lanes found on their shares, as one: against the metrics of the whole."""

import numpy as np
import pytest

from common.reports import evaluation
from common.rounds import shares as lanes


def share(losses, right):
    """Return what a lane leaves of so many examples."""
    sums = {"loss": [float(np.sum(losses)), float(len(losses))], "accuracy": [float(np.sum(right)), float(len(right))]}
    return {"scores": {"loss": float(np.mean(losses)), "accuracy": float(np.mean(right))}, "sums": sums}


def test_shares_of_different_lengths_give_the_means_of_the_whole():
    random = np.random.default_rng(0)
    losses, right = random.exponential(size=100), random.random(100) < 0.7
    merged = evaluation.merged(2, [share(losses[:64], right[:64]), share(losses[64:], right[64:])])
    assert merged == {"loss": pytest.approx(losses.mean()), "accuracy": pytest.approx(right.mean())}


def test_who_evaluated_the_whole_is_right_whatever_its_metrics():
    scores = {"loss": 0.5, "auc": 0.9, "odd": None}
    witness = {"scores": {"loss": 0.5001, "auc": 0.9, "odd": None}, "sums": {"loss": [1.0, 2.0]}}
    assert evaluation.merged(1, [{"scores": scores, "sums": {"loss": [1.0, 2.0]}}, witness]) == scores
    assert lanes.alike(scores, witness["scores"]) and not lanes.alike(scores, {**scores, "auc": 0.8})


def test_a_mean_that_is_no_number_is_none():
    assert evaluation.mean([[float("nan"), 2.0], [1.0, 2.0]]) is None
