"""Classes of an operator's own: what is deployed, what the planner then takes, and what the trainer makes of it."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import plugins as deployed
from common.errors import ModelError
from common.plan import keras_file, keras_memory, plugins
from common.plan.plugins import Plugins
from common.training import loading
from common.training.model import Learner
from zips import PackageError, build_all

SOURCE = Path(__file__).resolve().parents[1] / "own_parts.py"
REGISTERED = "expected classes with keras.saving.register_keras_serializable"
OWN_LAYER = """
import keras
@keras.saving.register_keras_serializable("own")
class Same(keras.layers.Layer):
    pass
"""
NAMES = ["own>Quartic", "own>Scaled", "own>Worst", "own>halved"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a module, which this process knows as well."""
    folder = tmp_path_factory.mktemp("plugins")
    shutil.copy(SOURCE, folder / "own_parts.py")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def known(folder, monkeypatch):
    """Let planner and trainer have the module for a plugin."""
    monkeypatch.setattr(plugins, "known", lambda: Plugins(("own_parts",), frozenset(NAMES)))


@pytest.fixture
def model(folder, tmp_path):
    """Give the file of a model of these parts, and the model."""
    import own_parts

    keras.utils.set_random_seed(5)
    body = [own_parts.Scaled(), layers.Dense(8, own_parts.halved), layers.Dense(2)]
    network = keras.Sequential([keras.Input((4,)), *body])
    network.compile("adam", own_parts.Quartic(), metrics=[own_parts.Worst()])
    network.save(tmp_path / "own.keras")
    return tmp_path / "own.keras"


def test_what_is_deployed(folder, tmp_path):
    found = deployed.collect(["own_parts"], folder)
    assert json.loads(found.document) == {"modules": ["own_parts"], "names": NAMES}
    assert found.files == {"own_parts.py": SOURCE.read_bytes()}
    build_all(zips=tmp_path, own=found)
    held = {path.stem: set(zipfile.ZipFile(path).namelist()) for path in tmp_path.glob("*.zip")}
    assert {name for name, files in held.items() if "plugins.json" in files} == {"planner", "trainer"}
    assert {name for name, files in held.items() if "own_parts.py" in files} == {"trainer"}


def test_a_package_goes_whole(folder):
    package = folder / "bundle" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text('"""Parts."""\nimport bundle.inner.parts\n')
    (package / "__init__.py").write_text('"""Inner parts."""\n')
    (package / "parts.py").write_text(SOURCE.read_text().replace('("own")', '("bundle")'))
    found = deployed.collect(["bundle"], folder)
    assert set(found.files) == {"bundle/__init__.py", "bundle/inner/__init__.py", "bundle/inner/parts.py"}
    assert json.loads(found.document)["names"] == [name.replace("own>", "bundle>") for name in NAMES]


@pytest.mark.parametrize(
    ("module", "body", "sentence"),
    [
        ("absent", None, "which the trainer cannot import: ModuleNotFoundError: No module named 'absent'"),
        ("broken", "1 / 0\n", "which the trainer cannot import: ZeroDivisionError: division by zero"),
        ("silent", "x = 1\n", f"which register nothing, {REGISTERED}"),
        (
            "bare",
            "import keras\nkeras.saving.get_custom_objects()['Dense'] = keras.layers.Dense\n",
            f"which register Dense without a package, {REGISTERED}",
        ),
    ],
)
def test_a_plugin_that_cannot_be_deployed(folder, module, body, sentence):
    if body:
        (folder / f"{module}.py").write_text(body)
    with pytest.raises(deployed.PluginError) as error:
        deployed.collect([module], folder)
    assert str(error.value) == f"DL_PLUGINS: got {module}, {sentence}"


def test_what_a_plugin_imports_goes_with_it(folder):
    (folder / "beside.py").write_text("x = 1\n")
    (folder / "unused.py").write_text("x = 1\n")
    (folder / "uses.py").write_text(f"import beside\n{OWN_LAYER}")
    assert set(deployed.collect(["uses"], folder).files) == {"uses.py", "beside.py"}


def test_a_plugin_does_not_replace_the_trainers_own_modules(tmp_path):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "added.py").write_text(OWN_LAYER)
    found = deployed.collect(["common.added"], tmp_path)
    with pytest.raises(PackageError, match="^DL_PLUGINS: got a module common, expected another name"):
        build_all(zips=tmp_path / "zips", own=found)


def test_an_image_that_lacks_a_plugin(model, monkeypatch):
    monkeypatch.setattr(plugins, "known", lambda: Plugins(("missing_here",), frozenset(NAMES)))
    with pytest.raises(ModelError, match="^DL_PLUGINS: the trainer cannot import missing_here: No module named"):
        loading.load(model, None)


def test_no_plugins():
    assert deployed.named(" a, b.c\td ") == ["a", "b.c", "d"]
    assert deployed.collect([]) == deployed.Plugins({}, None)
    assert plugins.known() == Plugins()


def test_a_model_of_these_parts_is_taken_where_they_are_known_alone(model, known):
    found = keras_file.read(model, "m")
    (output,) = found.outputs
    assert (output.loss, output.classes, found.means) == ("own>Quartic", None, False)


@pytest.fixture
def namesakes(monkeypatch):
    """Give parts of one's own that are called as Keras' are, and are none of them."""
    register = keras.saving.register_keras_serializable("namesakes")

    def made(name, *bases, **body):
        return register(type(name, bases, body))

    def worst(expected, found):
        return keras.ops.max(keras.ops.abs(expected - found))

    worst.__name__ = "mean_absolute_error"
    loss = made("SparseCategoricalCrossentropy", keras.losses.Loss, call=lambda self, a, b: keras.ops.mean(a - b, -1))
    found = made("Dense", layers.Layer, call=lambda self, x: x, get_config=lambda self: {"name": "d", "units": 7})
    before = ("Dense", "SparseCategoricalCrossentropy", "mean_absolute_error")
    monkeypatch.setattr(plugins, "known", lambda: Plugins((), frozenset(f"namesakes>{name}" for name in before)))
    return found, loss, register(worst)


def test_a_plugin_is_not_taken_for_its_namesake_of_keras(namesakes, tmp_path):
    dense, loss, metric = namesakes
    network = keras.Sequential([keras.Input((4,)), layers.Dense(3), dense()])
    network.compile("adam", "mse", metrics=[metric])
    network.save(tmp_path / "layer.keras")
    found = keras_file.read(tmp_path / "layer.keras", "m")
    assert (found.outputs[0].classes, found.outputs[0].label_shape, found.means) == (None, None, False)
    (kept,) = [one for one in keras_memory.read(tmp_path / "layer.keras").config["config"]["layers"] if is_last(one)]
    assert kept["class_name"] == "namesakes>Dense"
    network.compile("adam", loss(), metrics=[keras.metrics.MeanMetricWrapper(metric)])
    network.save(tmp_path / "loss.keras")
    found = keras_file.read(tmp_path / "loss.keras", "m")
    assert (found.outputs[0].sparse, found.means) == (False, False)
    found.check_labels([(5, 6)])


def is_last(layer):
    return layer["config"].get("units") == 7


def test_a_model_of_these_parts_is_refused_elsewhere(model):
    with pytest.raises(ModelError, match="Scaled, expected layers .* own, or what an operator adds by DL_PLUGINS$"):
        keras_file.read(model, "m")


@pytest.mark.parametrize(
    "part",
    [
        {"class_name": "Lambda", "registered_name": "own>Scaled", "module": "keras.layers", "config": {}},
        {"class_name": "__lambda__", "registered_name": "own>Scaled", "module": "builtins", "config": {}},
        {"class_name": "__typespec__", "registered_name": "own>Scaled", "module": "os", "config": []},
        {"class_name": "system", "registered_name": "os>system", "module": "os", "config": {}},
        {"class_name": "function", "registered_name": "own>halved", "module": "builtins", "config": "os>system"},
    ],
)
def test_what_is_no_plugin_stays_refused(model, known, tmp_path, part):
    with zipfile.ZipFile(model) as file:
        held = {name: file.read(name) for name in file.namelist()}
    config = json.loads(held["config.json"])
    config["config"]["layers"].append(part)
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as file:
        for name, body in held.items():
            file.writestr(name, json.dumps(config) if name == "config.json" else body)
    with pytest.raises(ModelError, match="of Keras itself"):
        keras_file.read(tmp_path / "evil.keras", "m")


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_the_trainer_does_what_plain_keras_does(model, known):
    random = np.random.default_rng(3)
    x, y = random.normal(size=(64, 4)).astype(np.float32), random.normal(size=(64, 2)).astype(np.float32)
    plain = keras.models.load_model(model)
    plain.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0)
    learner = Learner(model)
    learner.train((x, y), np.arange(64), np.arange(0, 65, 16), 0, 4)
    expected = plain.get_weights()
    assert len(expected) == 5
    for ours, theirs in zip(learner.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    scores = learner.evaluate((x, y), "here")
    assert scores == pytest.approx(plain.evaluate(x, y, verbose=0, return_dict=True), abs=1e-5)
