"""What a model's file tells of memory beside Keras itself, and which trainer follows from it."""

import json
import math
import re
import zipfile

import keras
import numpy as np
import pytest
from benchmarks.footprints import FITTED
from keras import layers, optimizers

from common.errors import ModelError
from common.plan import keras_activations, keras_memory, keras_optimizers, keras_weights, params
from common.plan.plan import Trainer

MB = 1 << 20
STOCK = {"trainer": 384, "trainer-512": 512, "trainer-large": 512}
OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "rmsprop": lambda: optimizers.RMSprop(momentum=0.9, centered=True),
    "adam": lambda: optimizers.Adam(),
    "amsgrad": lambda: optimizers.Adam(amsgrad=True),
    "ema": lambda: optimizers.AdamW(use_ema=True),
    "accumulating": lambda: optimizers.Adam(gradient_accumulation_steps=4),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.Adam()),
    **{name.lower(): getattr(optimizers, name) for name in keras_optimizers.SLOTS},
}


def config_of(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


def saved(model, path):
    model.save(path)
    return keras_weights.read(path, config_of(path))


def bytes_of(variables):
    return sum(math.prod(variable.shape) * 4 for variable in variables)


@pytest.mark.parametrize(("name", "trained"), [*((name, False) for name in OPTIMIZERS), ("adam", True), ("sgd", True)])
def test_slots_are_those_of_keras(tmp_path, name, trained):
    model = keras.Sequential([keras.Input((100,)), layers.Dense(120), layers.Dense(50)])
    model.compile(OPTIMIZERS[name](), "mse")
    if trained:
        keras.utils.set_random_seed(1)  # the trainer's modules make TensorFlow ask for one
        model.fit(np.zeros((4, 100)), np.zeros((4, 50)), verbose=0)
    else:
        model.optimizer.build(model.trainable_variables)
    found = saved(model, tmp_path / "m.keras")
    assert (found.trained, found.frozen) == (bytes_of(model.trainable_variables), 0)
    slots = bytes_of(model.optimizer.variables) / found.trained
    more = 1 if name == "muon" else 0  # which keeps a second one for few weights
    assert slots == pytest.approx(found.slots - more, abs=0.05)


@pytest.mark.parametrize("name", keras_optimizers.SLOTS)
def test_an_optimizer_by_name_has_as_many(name):
    found = params.read({"optimizer": name.lower()})["optimizer"]
    assert keras_optimizers.slots_of(found) == keras_optimizers.SLOTS[name]
    assert type(keras.saving.deserialize_keras_object(found)).__name__ == name


def test_every_optimizer_of_keras_is_known():
    several = {"LossScaleOptimizer", "MultiOptimizer", "Optimizer", "OptimizerMap"}
    classes = {name for name in dir(optimizers) if isinstance(getattr(optimizers, name), type)}
    assert classes - several == set(keras_optimizers.SLOTS)


def test_weights_that_are_not_trained_have_no_slots(tmp_path):
    base = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(16, 3), layers.BatchNormalization()], name="base")
    base.trainable = False
    model = keras.Sequential([keras.Input((8, 8, 1)), base, layers.Flatten(), layers.Dense(10)])
    model.compile("adam", "mse")
    found = saved(model, tmp_path / "m.keras")
    assert found.trained == bytes_of(model.trainable_variables)
    assert found.trained + found.frozen == bytes_of(model.weights)


@pytest.mark.parametrize("name", [name for name in FITTED if not name.startswith("mlp")])
def test_what_layers_give_is_what_keras_says(tmp_path, name):
    model = FITTED[name].build()
    model.save(tmp_path / "m.keras")
    found = keras_activations.activations(config_of(tmp_path / "m.keras"), 1)
    expected = [list(layer.output.shape[1:]) for layer in flat(model)]
    assert [one.given for one in found] == expected


LAYERS = [  # made when they are tested: TensorFlow's threads are set when the trainer's modules are loaded
    (lambda: layers.Conv1D(4, 3, strides=2, padding="same"), (11, 3)),
    (lambda: layers.Conv1D(4, 3, dilation_rate=2, padding="causal"), (11, 3)),
    (lambda: layers.Conv2D(4, (3, 2), strides=(2, 1)), (9, 8, 3)),
    (lambda: layers.Conv2D(4, 3, dilation_rate=2), (9, 8, 3)),
    (lambda: layers.Conv3D(4, 2), (5, 6, 7, 1)),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (9, 8, 3)),
    (lambda: layers.SeparableConv2D(5, 3, strides=2, padding="same"), (9, 8, 3)),
    (lambda: layers.Conv2DTranspose(4, 3, strides=2), (5, 4, 3)),
    (lambda: layers.Conv2DTranspose(4, 3, strides=2, padding="same"), (5, 4, 3)),
    (lambda: layers.MaxPooling2D(3, strides=2), (9, 8, 3)),
    (lambda: layers.AveragePooling1D(3, padding="same"), (10, 3)),
    (lambda: layers.GlobalMaxPooling2D(), (9, 8, 3)),
    (lambda: layers.GlobalAveragePooling2D(keepdims=True), (9, 8, 3)),
    (lambda: layers.UpSampling2D((2, 3)), (4, 5, 3)),
    (lambda: layers.ZeroPadding1D((1, 2)), (4, 3)),
    (lambda: layers.ZeroPadding2D(((0, 1), (2, 3))), (4, 5, 3)),
    (lambda: layers.Cropping2D(1), (4, 5, 3)),
    (lambda: layers.Permute((2, 1)), (4, 5)),
    (lambda: layers.RepeatVector(6), (5,)),
    (lambda: layers.Reshape((-1, 5)), (4, 10)),
    (lambda: layers.LSTM(6, return_sequences=True), (7, 3)),
    (lambda: layers.Bidirectional(layers.GRU(6)), (7, 3)),
    (lambda: layers.Bidirectional(layers.GRU(6, return_sequences=True), merge_mode="sum"), (7, 3)),
    (lambda: layers.TimeDistributed(layers.Conv2D(4, 3)), (3, 9, 8, 2)),
    (lambda: layers.SpectralNormalization(layers.Conv2D(4, 3)), (9, 8, 2)),
    (lambda: layers.ConvLSTM2D(4, 3), (3, 9, 8, 2)),
    (lambda: layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True), (3, 9, 8, 2)),
    (lambda: layers.Dense(6), (3, 4)),
    (lambda: layers.Activation("relu"), (3, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_what_a_layer_gives_is_what_keras_says(tmp_path, layer, shape):
    model = keras.Sequential([keras.Input(shape), layer()])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    (found,) = keras_activations.activations(config_of(tmp_path / "m.keras"), 1)
    assert found.given == list(model.compute_output_shape((None, *shape))[1:])


def flat(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flat(layer)
        elif not isinstance(layer, layers.InputLayer):
            yield layer


def test_a_frozen_part_keeps_nothing(tmp_path):
    FITTED["frozen"].build().save(tmp_path / "m.keras")
    found = keras_activations.activations(config_of(tmp_path / "m.keras"), 1)
    assert [one.frozen for one in found] == [True] * (len(found) - 1) + [False]


def test_no_weights_no_estimate(tmp_path):
    model = keras.Sequential([layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="not yet been built"):
        model.save(tmp_path / "m.keras")
    assert keras_memory.read(tmp_path / "m.keras") is None
    assert keras_memory.trainer(None, 32, 1, STOCK) == Trainer("trainer", 384, "trainer-512", None, None)


@pytest.fixture(scope="module")
def footprints(tmp_path_factory):
    """Give a function that returns the footprint of a network of so many weights, in millions, with an optimizer."""
    folder = tmp_path_factory.mktemp("footprints")

    def footprint(millions, optimizer="adam"):
        path = folder / f"{millions}-{optimizer}.keras"
        if not path.exists():
            width = round(millions * 1e6 / 2000)
            model = keras.Sequential([keras.Input((1000,)), layers.Dense(width), layers.Dense(1000)])
            model.compile(optimizer, "mse")
            model.save(path)
        return keras_memory.read(path)

    return footprint


@pytest.mark.parametrize(
    ("millions", "optimizer", "action"),
    [(1, "adam", "trainer"), (8, "adam", "trainer"), (12, "adam", "trainer-512"), (12, "sgd", "trainer")],
)
def test_the_smallest_trainer_that_holds_the_model(footprints, millions, optimizer, action):
    found = keras_memory.trainer(footprints(millions, optimizer), 32, 1, STOCK)
    assert (found.action, found.memory, found.micro) == (action, STOCK[action], None)
    assert found.estimated * keras_memory.MARGIN <= found.memory * MB


def test_a_model_that_fits_no_trainer_is_refused_with_the_numbers(footprints):
    found = footprints(25)
    need, plain = (one.bytes(32, 1) for one in (found, footprints(25, "sgd")))  # less than pieces and their sums
    with pytest.raises(ModelError) as error:
        keras_memory.trainer(found, 32, 1, STOCK)
    larger = math.ceil(need * keras_memory.MARGIN / MB / 64) * 64
    assert str(error.value) == (
        f"model: needs about {need // MB} MB for 25 million parameters with Adam, the largest trainer has 512: SGD "
        f"would need {plain // MB}, or DL_TRAINER_MEMORY={larger} where the platform allows it"
    )
    room = {**STOCK, "trainer-large": larger}
    assert keras_memory.trainer(found, 32, 1, room).action == "trainer-large"


@pytest.mark.parametrize("batch", [1, 32, 256])
@pytest.mark.parametrize(("millions", "side"), [(18, 64), (20, 32), (30, 32), (40, 64), (100, 128)])
def test_what_a_refusal_names_is_enough(millions, side, batch):
    taken = {"build_config": {"input_shape": [None, side, side, 64]}, "class_name": "Activation"}
    layers_of = {"config": {"layers": [taken] * 4}, "compile_config": {"optimizer": {"class_name": "Adam"}}}
    found = keras_memory.Footprint(keras_weights.Weights(millions * 4_000_000, 0, 0, 2), layers_of)
    with pytest.raises(ModelError) as error:
        keras_memory.trainer(found, batch, 1, STOCK)
    said = re.search(r"has 512: (SGD would need )?.*DL_TRAINER_MEMORY=(\d+)", str(error.value))
    assert keras_memory.trainer(found, batch, 1, {**STOCK, "trainer-large": int(said[2])}).action == "trainer-large"
    with pytest.raises(ModelError):
        keras_memory.trainer(found, batch, 1, {**STOCK, "trainer-large": int(said[2]) - keras_memory.STEP})
    if said[1]:
        keras_memory.trainer(found.without_slots(), batch, 1, STOCK)


def test_weights_that_are_larger_unpacked_than_any_trainer_are_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", bytes(3 << 20))
    with pytest.raises(ModelError) as error:
        keras_memory.read(tmp_path / "m.keras", None, 2)
    assert str(error.value) == "model: got weights of 3 MB, the largest trainer has 2"


def test_batches_that_fit_no_trainer_are_cut(tmp_path):
    body = [layers.Conv2D(64, 3, padding="same", activation="relu") for _ in range(4)]
    model = keras.Sequential([keras.Input((64, 64, 3)), *body, layers.GlobalAveragePooling2D(), layers.Dense(10)])
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    read = keras_memory.read(tmp_path / "m.keras")
    found = keras_memory.trainer(read, 256, 1, STOCK)
    assert (found.memory, found.micro in (32, 64)) == (512, True)
    assert read.bytes(found.micro, 1, pieces=True) == read.bytes(found.micro, 1) + read.weights.trained
    assert read.bytes(2 * found.micro, 1) * keras_memory.MARGIN > 512 * MB
