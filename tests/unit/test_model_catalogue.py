"""Ten models of the catalogue held to plain Keras, and its table in docs/models.md; `scripts/bench models` has all."""

from pathlib import Path
from typing import Any

import pytest
from benchmarks.models import checks
from benchmarks.models.catalogue import BY_NAME, ROWS
from benchmarks.models.trial import Trial

from common.rounds.averaging import Moving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
CHOSEN = (
    *("sample-weight", "constraints", "three-outputs", "string-lookup", "text-tf-idf"),
    *("wide-and-deep", "augmented", "embedding", "ema", "mixed-float16"),
)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_model_is_trained_as_plain_keras_does(tmp_path: Path, name: str) -> None:
    found = list(checks.perform(Trial(BY_NAME[name], tmp_path)))
    assert [one.check for one in found] == ["reader", "lane", "average", "file"]
    assert [one for one in found if not one.ok] == []


def other_data(trial: Trial, _: Any) -> None:
    x, y = trial.data
    trial.data = x[:, :5], y


def other_batches(trial: Trial, _: Any) -> None:
    assert trial.lane
    trial.order = trial.order[::-1]


def plain_mean(_: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Moving, "moves", lambda self, name: False)


DISTURBED = {"reader": other_data, "lane": other_batches, "average": plain_mean}


@pytest.mark.parametrize("check", DISTURBED)
def test_a_check_fails_where_something_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    trial = Trial(BY_NAME["nested"], tmp_path)
    DISTURBED[check](trial, monkeypatch)
    (found,) = checks.perform(trial, [check])
    assert not found.ok and found.said


def test_the_page_has_the_rows_of_the_catalogue() -> None:
    assert len(BY_NAME) == len(ROWS) >= 40
    begin = PAGE.read_text().index("| model | kind | what it exercises | note |")
    table = PAGE.read_text()[begin:].partition("\n\n")[0].splitlines()[2:]
    assert table == [row.documented() for row in ROWS]
