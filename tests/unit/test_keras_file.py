"""What the planner reads of a .keras file, from configurations as Keras writes them."""

import json
import zipfile

import pytest

from common import keras_file
from common.errors import ModelError

SEQUENTIAL = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": {"name": "i", "batch_shape": [None, 8, 8]},
            },
            {
                "module": "keras.layers",
                "class_name": "Dense",
                "config": {"name": "d", "units": 5},
                "build_config": {"input_shape": [None, 8, 8]},
            },
            {"module": "keras.layers", "class_name": "Softmax", "config": {"name": "s"}},
        ]
    },
    "compile_config": {"optimizer": {"class_name": "Adam"}, "loss": {"class_name": "SparseCategoricalCrossentropy"}},
}


def changed(**parts):
    return {**json.loads(json.dumps(SEQUENTIAL)), **parts}


def functional(inputs, outputs):
    return changed(
        class_name="Functional",
        config={**SEQUENTIAL["config"], "input_layers": inputs, "output_layers": outputs},
    )


def test_a_sequential_model():
    found = keras_file.describe(SEQUENTIAL)
    assert found == keras_file.KerasFile((8, 8), 5, "sparse_categorical_crossentropy", means=True, label_shape=(8,))


def test_an_ignored_class_may_have_any_number():
    loss = {"class_name": "SparseCategoricalCrossentropy", "config": {"ignore_class": 255}}
    found = keras_file.describe(changed(compile_config={**SEQUENTIAL["compile_config"], "loss": loss}))
    assert (found.classes, found.label_shape, found.sparse) == (None, (8,), True)


def test_what_keras_itself_writes(tmp_path):
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((7,)), layers.Embedding(9, 4), layers.Dense(5), layers.Softmax()])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(tmp_path / "m.keras")
    assert keras_file.read(tmp_path / "m.keras", "m") == keras_file.KerasFile(
        (7,), 5, "sparse_categorical_crossentropy", accuracy=True, means=True, label_shape=(7,)
    )


@pytest.mark.parametrize(
    ("metrics", "weighted", "accuracy", "means"),
    [
        (None, None, False, True),
        (["mae"], [], False, True),
        (["acc", "mse"], None, True, True),
        (["accuracy", "auc"], None, True, False),
        (["accuracy"], ["accuracy"], True, False),
        ([{"class_name": "BinaryAccuracy"}], None, True, False),
        ({"d": ["accuracy"]}, None, True, False),
    ],
)
def test_which_metrics_a_model_has(metrics, weighted, accuracy, means):
    compiled = {**SEQUENTIAL["compile_config"], "metrics": metrics, "weighted_metrics": weighted}
    found = keras_file.describe(changed(compile_config=compiled))
    assert (found.accuracy, found.means) == (accuracy, means)


@pytest.mark.parametrize(("inputs", "outputs"), [(["i", 0, 0], ["d", 0, 0]), ([["i", 0, 0]], [["d", 0, 0]])])
def test_a_functional_model(inputs, outputs):
    assert keras_file.describe(functional(inputs, outputs)) == keras_file.describe(SEQUENTIAL)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (changed(class_name="MyModel"), "model: got class MyModel, expected a Sequential or Functional model"),
        ([], "model: got class list, expected a Sequential or Functional model"),
        (changed(compile_config=None), "model: got no optimizer and loss, expected a compiled model"),
        (functional([["i", 0, 0], ["j", 0, 0]], ["d", 0, 0]), "model: got 2 inputs, expected one"),
        (
            changed(config={"layers": [{"module": "keras.layers", "class_name": "Lambda", "config": {}}]}),
            "model: got Lambda, expected layers of Keras itself",
        ),
        (
            changed(config={"dtype": {"class_name": "DTypePolicy", "config": {"name": "bfloat16"}}}),
            "model: got the dtype bfloat16, expected float32 or mixed_bfloat16",
        ),
        (
            changed(config={"dtype": {"class_name": "QuantizedFloat8DTypePolicy", "config": {"mode": "float8"}}}),
            "model: got quantized layers, expected float ones",
        ),
        (
            changed(config={"layers": [{"module": "os", "class_name": "system", "config": {}}]}),
            "model: got os.system, expected layers of Keras itself",
        ),
        (
            changed(config={"layers": [{"module": None, "class_name": "A", "registered_name": "x>A"}]}),
            "model: got A, expected layers of Keras itself",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(config, sentence):
    with pytest.raises(ModelError) as error:
        keras_file.describe(config)
    assert str(error.value).startswith(sentence)


def test_a_file_that_is_no_zip(tmp_path):
    (tmp_path / "m").write_bytes(b"\x89HDF")
    with pytest.raises(ModelError, match=r"^model: got no .keras file at s3://b/m \(File is not a zip file\)"):
        keras_file.read(tmp_path / "m", "s3://b/m")


def test_a_zip_that_is_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "m", "w") as file:
        file.writestr("other", "")
    with pytest.raises(ModelError, match="expected one of keras.Model.save"):
        keras_file.read(tmp_path / "m", "m")


@pytest.mark.parametrize(
    ("expected", "shape", "fits"),
    [
        ((8, 8), (8, 8), True),
        ((8, 8, 1), (8, 8), True),
        ((8, 8), (8, 8, 1), True),
        ((None,), (7,), True),
        ((8, 8), (8, 9), False),
        ((8, 8), (64,), False),
    ],
)
def test_inputs(expected, shape, fits):
    model = keras_file.KerasFile(expected, None, "mse")
    if fits:
        model.check_inputs(shape)
    else:
        with pytest.raises(ModelError, match=r"^model: its input is .* as in the dataset$"):
            model.check_inputs(shape)


@pytest.mark.parametrize(
    ("loss", "gives", "shape", "fits"),
    [
        ("sparse_categorical_crossentropy", (), (), True),
        ("sparse_categorical_crossentropy", (), (1,), True),
        ("sparse_categorical_crossentropy", (), (5,), False),
        ("sparse_categorical_crossentropy", (7,), (7,), True),
        ("sparse_categorical_crossentropy", (7,), (7, 1), True),
        ("sparse_categorical_crossentropy", (None,), (7,), True),
        ("sparse_categorical_crossentropy", (7,), (), False),
        ("sparse_categorical_crossentropy", None, (9, 9), True),
        ("categorical_crossentropy", (), (5,), True),
        ("categorical_crossentropy", (7,), (7, 5), True),
        ("categorical_crossentropy", (), (), False),
        ("categorical_crossentropy", (7,), (5,), False),
        ("mse", (), (3,), True),
    ],
)
def test_labels(loss, gives, shape, fits):
    model = keras_file.KerasFile(None, 5, loss, label_shape=gives)
    if fits:
        model.check_labels(shape)
    else:
        with pytest.raises(ModelError, match="expected"):
            model.check_labels(shape)
