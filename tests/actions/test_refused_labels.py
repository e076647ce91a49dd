"""What does not fit the outputs of a model: one sentence each, before anything is trained."""

import numpy as np
import pytest

from .conftest import npz
from .test_bad_input import assert_refused
from .test_datasets import X, Y, csv
from .test_labels import FRAME, SAID, SIZE, SOLD

REFUSED = {
    "a name": (npz(x=X, kind=Y, size=SIZE, sold=SOLD), {"label": "kind"}, "label: got the columns kind, expected an object of {{output: columns}}, as the model has the outputs kind, size, sold"),
    "another output": (npz(x=X, kind=Y, size=SIZE, sold=SOLD), {"label": {"kind": "kind", "size": "size", "price": "sold"}}, "label: got the outputs kind, price, size, expected the outputs kind, size, sold of the model"),
    "no array of the name": (npz(x=X, kind=Y, size=SIZE), {}, "{at}got the arrays kind, size, x, expected sold as an output of the model is called: say by label which array it takes"),
    "no column of the name": (csv(FRAME), {}, "{at}got the columns high, high_size, kind, long, sold, wide, wide_size, expected size as an output of the model is called: say by label which column it takes"),
    "two arrays of one output": (npz(x=X, kind=Y, size=SIZE, sold=SOLD), {"label": {"kind": "kind", "size": ["size", "x"], "sold": "sold"}}, "label: size: got 2 arrays, expected one"),
    "text side by side": (csv(FRAME), {"label": {"kind": "kind", "size": ["wide_size", "sold"], "sold": "kind"}}, "{at}column sold holds text, expected single numbers, as labels side by side"),
    "another length": (npz(x=X, kind=Y, size=SIZE[:59], sold=SOLD), {}, "{at}size got 59 examples and kind 60, expected as many labels as examples"),
    "another shape": (npz(x=X, kind=Y, size=X, sold=SOLD), {}, "model: output size: loss mean_squared_error, expected labels of shape (2,), got (3,)"),
    "NaN": (npz(x=X, kind=Y, size=np.where(np.arange(120).reshape(60, 2) == 11, np.nan, SIZE), sold=SOLD), {}, "size: example 5 got NaN or infinity, expected finite numbers"),
    "a class too many": (npz(x=X, kind=Y + 1, size=SIZE, sold=SOLD), {}, "kind: got labels 1..4, expected 0..3 as the model gives"),
    "text for numbers": (npz(x=X, kind=Y, size=SOLD, sold=SOLD), {}, "model: output size: loss mean_squared_error, expected labels of shape (2,), got ()"),
    "more classes by name": (npz(x=X, kind=np.arange(60).astype(str), size=SIZE, sold=SOLD), {}, "model: it gives 4 classes, expected 60, as column kind holds the classes 0, 1, 10, 11, 12, 13, 14, 15 and 52 more"),
    "weights of classes": (npz(x=X, kind=Y, size=SIZE, sold=SOLD), {"class_weight": "balanced"}, "class_weight: got a value, expected none, as the model has several outputs with labels"),
    "a label among the inputs": (csv(FRAME), {**SAID, "inputs": ["long", "wide", "kind"]}, "{at}column kind is asked for twice, expected label, sample_weight and inputs apart"),
    "a missing label": (csv(FRAME.assign(high_size=[np.nan, *SIZE[1:, 1]])), {**SAID, "missing": "zero"}, "{at}column high_size has no value in 1 row, the first is row 1, expected one in each, or missing: drop"),
    "a part of a test set": (npz(x=X, kind=Y, size=SIZE, sold=SOLD, kind_test=Y), {}, "{at}got kind_test without size_test, sold_test, x_test, expected all or none"),
    "no inputs": (npz(a=X, b=X, kind=Y, size=SIZE, sold=SOLD), {}, "{at}got the arrays a, b, kind, size, sold, expected one of them as inputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_three_outputs(action, three, put, name):
    body, said, sentence = REFUSED[name]
    assert_refused(action, put, {**three, **said}, body, sentence)
