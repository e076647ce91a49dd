"""A whole run inside the images, by Docker, ends with the same weights as one by the images' proxies as processes."""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from benchmarks import pipeline
from benchmarks.container import NO_PLATFORM, Container, Process
from benchmarks.pipeline import STEPS, Pipeline
from keras import layers

from images import PYTHON_IMAGE, TENSORFLOW_IMAGE
from services import Bucket

LANES = 2
MEMORY = {PYTHON_IMAGE: 256, TENSORFLOW_IMAGE: 384}  # as manifest.yaml has it
NUMBERS = {"workers": LANES, "epochs": 4, "rounds": 2, "batch_size": 32, "seed": 3}
Make = Callable[[str], Container]


@pytest.fixture
def bucket(built: dict[str, str], contained: Callable[..., Any], tmp_path: Path) -> Iterator[Bucket]:
    """Give an S3 server that containers reach: it listens at what they have for a gateway."""
    with pipeline.store(tmp_path / "s3", contained(built["dl-python"]).gateway) as running:
        yield running


@pytest.fixture
def in_docker(built: dict[str, str], contained: Callable[..., Any]) -> Make:
    """Start a container of an image by Docker."""

    def start(image: str) -> Container:
        assert image in built.values()
        return Container(contained(image, MEMORY[image], __OW_API_HOST=NO_PLATFORM).address)

    return start


@pytest.fixture
def as_process(tmp_path: Path) -> Iterator[Make]:
    """Start the image's proxy as localwhisk does."""
    with ExitStack() as running:

        def start(image: str) -> Container:
            return running.enter_context(Process(image, Path(tempfile.mkdtemp(dir=tmp_path))))

        yield start


def dataset() -> bytes:
    """Return an .npz of examples that are all different, and can be learned."""
    random = np.random.default_rng(5)
    labels = (np.arange(480) % 4).astype(np.uint8)
    images = random.integers(0, 128, (480, 12, 12, 3), np.uint8)
    images[np.arange(480), labels] += 100
    file = io.BytesIO()
    np.savez(file, x_train=images[:400], y_train=labels[:400], x_test=images[400:], y_test=labels[400:])
    return file.getvalue()


def network(path: Path) -> bytes:
    """Return a `.keras` file of a network with convolutions, batch norm and dropout."""
    keras.utils.set_random_seed(2)
    body = [layers.Conv2D(16, 3, activation="relu"), layers.BatchNormalization(momentum=0.8), layers.MaxPooling2D()]
    head = [layers.Conv2D(24, 3), layers.GlobalAveragePooling2D(), layers.Dropout(0.3), layers.Dense(4, "softmax")]
    model = keras.Sequential([keras.Input((12, 12, 3), dtype="uint8"), layers.Rescaling(1 / 255), *body, *head])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    return path.read_bytes()


def train(make: Make, bucket: Bucket, name: str, model: bytes) -> tuple[dict[str, Any], bytes]:
    """Do a run in containers of one sort; its result, and its trained model's file."""
    containers = {step: make(PYTHON_IMAGE) for step in STEPS}
    trainers = [make(TENSORFLOW_IMAGE) for _ in range(LANES)]
    for action, container in [*containers.items(), *(("trainer", trainer) for trainer in trainers)]:
        container.start(action)
    steps = {step: container.run for step, container in containers.items()}
    runs = Pipeline(bucket, steps, [trainer.run for trainer in trainers])
    given = {"dataset": runs.put("data.npz", dataset()), "model": runs.put("model.keras", model)}
    result = runs.run(run=name, **given, **NUMBERS)
    final = bucket.client.get_object(Bucket=bucket.bucket, Key=f"runs/{name}/final.keras")["Body"].read()
    return result, final


@pytest.mark.image
def test_a_run_in_docker_gives_the_weights_of_one_in_processes(
    in_docker: Make, as_process: Make, bucket: Bucket, tmp_path: Path
) -> None:
    model = network(tmp_path / "model.keras")
    (docker, one), (processes, other) = (
        train(make, bucket, name, model) for name, make in (("docker", in_docker), ("processes", as_process))
    )
    same = ("weights_sha256", "accuracy", "loss", "processors")
    assert {name: docker[name] for name in same} == {name: processes[name] for name in same}
    assert one == other != model
    losses = [[round_["loss"] for round_ in result["rounds"]] for result in (docker, processes)]
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]
