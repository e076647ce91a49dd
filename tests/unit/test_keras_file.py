"""What the planner reads of a .keras file, from configurations as Keras writes them."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from common.errors import ModelError
from common.plan import keras_file
from common.plan.keras_inputs import ModelInput
from common.plan.keras_outputs import ModelOutput

SPARSE = "sparse_categorical_crossentropy"
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
    assert found == keras_file.KerasFile((ModelInput("i", (8, 8)),), (ModelOutput("", 5, SPARSE, (8,)),), means=True)


def test_an_ignored_class_may_have_any_number():
    loss = {"class_name": "SparseCategoricalCrossentropy", "config": {"ignore_class": 255}}
    found = keras_file.describe(changed(compile_config={**SEQUENTIAL["compile_config"], "loss": loss}))
    assert found.outputs == (ModelOutput("", None, SPARSE, (8,)),)


def test_what_keras_itself_writes(tmp_path):
    import keras
    from keras import layers

    model = keras.Sequential(
        [keras.Input((7,), name="words"), layers.Embedding(9, 4), layers.Dense(5), layers.Softmax()]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(tmp_path / "m.keras")
    assert keras_file.read(tmp_path / "m.keras", "m") == keras_file.KerasFile(
        (ModelInput("words", (7,)),),
        (ModelOutput("", 5, SPARSE, (7,)),),
        accuracy=True,
        means=True,
        rate=float(np.float32(0.01)),
    )


def respelled(path, old, new):
    """Write a `.keras` file again with another config.json, as another release of Keras spells it."""
    with zipfile.ZipFile(path) as file:
        held = {name: file.read(name) for name in file.namelist()}
    assert old in held["config.json"]
    with zipfile.ZipFile(path, "w") as file:
        for name, body in held.items():
            file.writestr(name, body.replace(old, new) if name == "config.json" else body)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"batch_shape"', b'"batch_input_shape"'),  # Keras 2.12 to 2.15
        (b'"batch_shape": [null, 8]', b'"shape": [8]'),
        (b'"batch_shape": [null, 8]', b'"input_shape": [8]'),
        (b'"batch_shape": [null, 8]', b'"batch_shape": [32, 8]'),
    ],
)
@pytest.mark.filterwarnings("ignore:Argument `input_shape` is deprecated")
@pytest.mark.parametrize("kind", ["Sequential", "Functional"])
def test_an_input_in_each_spelling_is_what_keras_loads(tmp_path, kind, old, new):
    import keras

    path, entry, answer = tmp_path / "m.keras", keras.Input((8,)), keras.layers.Dense(3)
    model = keras.Sequential([entry, answer]) if kind == "Sequential" else keras.Model(entry, answer(entry))
    model.compile("sgd", "mse")
    model.save(path)
    respelled(path, old, new)
    assert keras_file.read(path, "m").inputs[0].shape == keras.models.load_model(path, compile=False).input_shape[1:]


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_sequential_that_was_never_built_has_no_input_shape_yet(tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    assert keras_file.read(tmp_path / "m.keras", "m").inputs[0].shape is None
    model.build((None, 4))
    model.save(tmp_path / "m.keras")
    assert keras_file.read(tmp_path / "m.keras", "m").inputs[0].shape == (4,)


def test_a_layer_that_keeps_its_state_between_batches_is_refused(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((5, 3), batch_size=16), keras.layers.LSTM(4, stateful=True, name="memory")])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="^model: layer memory is stateful, expected stateful=False"):
        keras_file.read(tmp_path / "m.keras", "m")


@pytest.mark.parametrize(
    ("metrics", "weighted", "accuracy", "means"),
    [
        (None, None, False, True),
        (["mae"], [], False, True),
        (["acc", "mse"], None, True, True),
        (["accuracy", "auc"], None, True, False),
        (["accuracy"], ["accuracy"], True, False),
        ([{"class_name": "BinaryAccuracy"}], None, True, True),
        ({"d": ["accuracy"]}, None, True, True),
    ],
)
def test_which_metrics_a_model_has(metrics, weighted, accuracy, means):
    compiled = {**SEQUENTIAL["compile_config"], "metrics": metrics, "weighted_metrics": weighted}
    found = keras_file.describe(changed(compile_config=compiled))
    assert (found.accuracy, found.means) == (accuracy, means)


@pytest.mark.parametrize(("inputs", "outputs"), [(["i", 0, 0], ["d", 0, 0]), ([["i", 0, 0]], [["d", 0, 0]])])
def test_a_functional_model(inputs, outputs):
    expected = replace(keras_file.describe(SEQUENTIAL), outputs=(ModelOutput("d", 5, SPARSE, (8,)),))
    assert keras_file.describe(functional(inputs, outputs)) == expected


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (changed(class_name="MyModel"), "model: got class MyModel, expected a Sequential or Functional model"),
        ([], "model: got class list, expected a Sequential or Functional model"),
        (changed(compile_config=None), "model: got no optimizer and loss, expected a compiled model"),
        (
            functional([["i", 0, 0], ["j", 0, 0]], ["d", 0, 0]),
            "model: got 2 inputs without their layers, expected a file of model.save",
        ),
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
    (tmp_path / "m").write_bytes(b"\x89PNG")
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
    model = keras_file.KerasFile((ModelInput("i", expected),), ())
    if fits:
        model.check_inputs([shape])
    else:
        with pytest.raises(ModelError, match=r"^model: its input is .* as in the dataset$"):
            model.check_inputs([shape])


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
        ("mean_squared_error", (), (3,), False),
    ],
)
def test_labels(loss, gives, shape, fits):
    model = keras_file.KerasFile((), (ModelOutput("", 5, loss, gives),))
    if fits:
        model.check_labels([shape])
    else:
        with pytest.raises(ModelError, match="expected"):
            model.check_labels([shape])


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
@pytest.mark.parametrize("form", ["list", "dict", "other names"])
def test_several_inputs_are_those_that_keras_takes(tmp_path, form):
    import keras

    held = {"b": keras.Input((3, 2), name="b"), "a": keras.Input((), name="a", dtype="string")}
    looked = keras.layers.StringLookup(vocabulary=["x"], output_mode="one_hot")(held["a"])
    answer = keras.layers.Dense(2)(keras.layers.Concatenate()([keras.layers.Flatten()(held["b"]), looked]))
    given = {"list": list(held.values()), "dict": held, "other names": {f"my {one}": held[one] for one in held}}[form]
    model = keras.Model(given, answer)
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    begins = "my " if form == "other names" else ""
    expected = {ModelInput(f"{begins}b", (3, 2)), ModelInput(f"{begins}a", (), text=True)}
    assert set(keras_file.read(tmp_path / "m.keras", "m").inputs) == expected


@pytest.mark.parametrize("begins", ["input", "vectors"])
def test_a_sequential_of_text(tmp_path, begins):
    import keras

    vectors = keras.layers.TextVectorization(max_tokens=9, output_sequence_length=4)
    vectors.adapt(["some words"])
    first = [keras.Input((1,), dtype="string", name="said")] if begins == "input" else []
    model = keras.Sequential([*first, vectors, keras.layers.Embedding(9, 2), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.build((None, 1))
    model.save(tmp_path / "m.keras")
    (found,) = keras_file.read(tmp_path / "m.keras", "m").inputs
    assert (found.shape, found.text) == ((1,), True)
