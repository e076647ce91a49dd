"""What does not fit the inputs of a model, or is no text: one sentence each, before anything is trained."""

import numpy as np
import pandas
import pytest

from .conftest import npz
from .test_bad_input import assert_refused
from .test_datasets import X, Y, csv, json_lines, parquet, table
from .test_inputs import CUT, LISTS, SAID, TEXT_SAID, of_text

TWO_REFUSED = {
    "a list": (csv(table()), {"inputs": ["long"]}, "inputs: got the columns long, expected an object of {{input: columns}}, as the model has the inputs left, right"),
    "another input": (csv(table()), {"inputs": {"left": "long", "up": "high"}}, "inputs: got the inputs left, up, expected the inputs left, right of the model"),
    "an input too few": (csv(table()), {"inputs": {"left": "long"}}, "inputs: got the inputs left, expected the inputs left, right of the model"),
    "no column of the name": (csv(table()), {}, "{at}got the columns high, long, wide, expected left as an input of the model is called: say by inputs which columns it takes"),
    "no array of the name": (npz(left=CUT["left"], y=Y), {}, "{at}got the arrays left, y, expected right as an input of the model is called: say by inputs which array it takes"),
    "no label": (npz(**CUT, a=Y, b=Y), {}, "{at}got the arrays a, b, left, right, expected one of them as label"),
    "two arrays of one input": (npz(**CUT, y=Y), {"inputs": {"left": ["left", "right"], "right": "right"}}, "inputs: left: got 2 arrays, expected one"),
    "another length": (npz(left=CUT["left"], right=CUT["right"][:59], y=Y), {}, "{at}right got 59 examples and y 60, expected as many labels as examples"),
    "another shape": (npz(left=CUT["left"], right=X, y=Y), {}, "model: its input right is (1,), expected (3,) as in the dataset"),
    "too few columns": (csv(table()), {"inputs": {"left": "long", "right": "high"}}, "model: its input left is (2,), expected (1,) as in the dataset"),
    "NaN": (npz(left=np.where(np.arange(120).reshape(60, 2) == 11, np.nan, CUT["left"]), right=CUT["right"], y=Y), {}, "left: example 5 got NaN or infinity, expected finite numbers"),
    "text": (csv(table().assign(high="x")), SAID, "{at}column high holds text, expected numbers: leave it out by inputs"),
    "a part of a test set": (npz(**CUT, y=Y, left_test=CUT["left"]), {}, "{at}got left_test without right_test, y_test, expected all or none"),
    "lists of one input beside a number": (json_lines(LISTS), {"inputs": {"left": ["left", "right"], "right": "right"}}, "{at}column left holds arrays of shape (2,), expected single numbers, or it alone as an input"),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO_REFUSED)
def test_what_does_not_fit_two_inputs(action, two, put, name):
    body, said, sentence = TWO_REFUSED[name]
    assert_refused(action, put, {**two, **said}, body, sentence)


TEXT_REFUSED = {
    "numbers": (csv(of_text().assign(t=1)), {}, "{at}column t holds numbers (<i8), expected text as the model's input"),
    "an array of numbers": (npz(said=X[:, :2], n=X[:, :1], y=Y), {"inputs": None}, "{at}said got dtype float32, expected text as the model's input"),
    "dates": (parquet(of_text().assign(t=pandas.date_range("2026-01-01", periods=60))), {}, "{at}column t holds values of type timestamp[us], expected text as the model's input: leave it out by inputs"),
    "too long": (csv(of_text().assign(t=[*["x"] * 7, "y" * 65537, *["x"] * 52])), {}, "{at}column t holds a text of 65537 bytes in row 8, expected 65536"),
    "a zero at the end": (json_lines(of_text().assign(t="a\0")), {}, "{at}column t holds a text that ends in a zero byte in row 1, expected it without"),
    "missing": (parquet(of_text().assign(t=["a", None, *["b"] * 58])), {"missing": None}, "{at}column t has no value in 1 row, the first is row 2, expected one in each, or missing: drop or zero"),
    "a mean": (parquet(of_text().assign(t=["a", None, *["b"] * 58])), {"missing": "mean"}, "{at}column t has no value in 1 row, the first is row 2, expected one in each, or missing: drop or zero"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXT_REFUSED)
def test_what_is_no_text(action, text, put, name):
    body, changes, sentence = TEXT_REFUSED[name]
    said = {key: value for key, value in {**TEXT_SAID, **changes}.items() if value}
    said = said if "inputs" in said or name != "an array of numbers" else {}
    assert_refused(action, put, {**text, **said}, body, sentence)
