"""Whole deployments: real wskdeploy, wsk, composer, Redis, S3 server and TensorFlow on localwhisk."""

import base64
import io
import json
import subprocess
import time
import urllib.request

import numpy as np
import psutil
import pytest

import deployment
from common.rounds import ledger
from common.storage.objects import Objects
from common.storage.run import Run
from local_platform import Platform

PARAMETERS = {"dataset": "data/shapes.npz", "model": "data/cnn.keras", "workers": 3, "epochs": 4, "rounds": 2}
FINISHED_SECONDS = 400
JUDGES = 2


def at_first(rounds, lanes):
    """Return what Deployment.attempts says of a run that needed one attempt a slice; its last round evaluates."""
    return [(r, lane, 1) for r in range(rounds) for lane in range(lanes)] + [(rounds, k, 1) for k in range(JUDGES)]


class Deployment:
    """A platform with everything deployed, used as a data scientist does: by wsk and the bucket."""

    def __init__(self, platform, kinds):
        self.platform = platform
        self.before = self.wsk("list").stdout
        deployment.deploy(platform.environment(), kinds)
        self.bucket = platform.bucket()
        self.objects = Objects(self.bucket.params)

    def wsk(self, *arguments):
        """Run wsk."""
        command = [str(deployment.BIN / "wsk"), *arguments]
        environment = self.platform.environment()
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def get(self, path):
        """Ask the REST API."""
        environment = self.platform.environment()
        key = base64.b64encode(environment["AUTH"].encode()).decode()
        url = f"{environment['APIHOST']}/api/v1/namespaces/_/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Basic {key}"})) as answer:
            return json.load(answer)

    def put(self, key, body):
        """Upload an object."""
        self.bucket.client.put_object(Bucket=self.bucket.bucket, Key=key, Body=body)

    def start(self, **parameters):
        """Invoke dl-pipeline; return the activation's id."""
        flags = [word for name, value in parameters.items() for word in ("-p", name, json.dumps(value).strip('"'))]
        said = self.wsk("action", "invoke", "dl-pipeline", *flags)
        while "Too many requests in the last minute" in said.stderr:  # the tests before spent it
            time.sleep(60 - time.time() % 60)
            said = self.wsk("action", "invoke", "dl-pipeline", *flags)
        assert said.returncode == 0, said.stderr
        return said.stdout.split()[-1]

    def finish(self, activation):
        """Wait for a pipeline's result."""
        end = time.monotonic() + FINISHED_SECONDS
        while time.monotonic() < end:
            said = self.wsk("activation", "result", activation)
            if said.returncode == 0:
                return json.loads(said.stdout)
            time.sleep(0.5)
        raise AssertionError(f"no result of {activation} after {FINISHED_SECONDS} s: {said.stderr}")

    def train(self, run, **parameters):
        """Run the pipeline to its end; return its result."""
        return self.finish(self.start(run=run, **{**PARAMETERS, **parameters}))

    def run(self, name):
        """Return a run's state in the store."""
        return Run(self.objects, name)

    def waves(self, name):
        """Return the ledger's waves."""
        found = []
        while wave := ledger.find(self.run(name), len(found)):
            found.append(wave)
        return found

    def attempts(self, name):
        """Return the ledger's (round, lane, attempt), once each: a busy machine may repeat a wave."""
        waves = self.waves(name)
        return sorted({(piece.round, piece.lane, piece.attempt) for wave in waves for piece in wave.slices})

    def trainers(self):
        """Return the processes of containers that run the trainer."""
        found = []
        for code in (self.platform.state / "localwhisk" / "containers").glob("*/root/action/*/main__.py"):
            if "Trains one slice" in code.read_text():
                note = json.loads((code.parents[3] / "process.json").read_text())
                found.append(psutil.Process(note["pid"]))
        return found


def shapes(count, seed):
    """Return images of 4 classes: a bright bar at one of four angles, moved and noisy; uint8."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    grid = np.mgrid[-1:1:24j, -1:1:24j]
    angle = labels * np.pi / 4 + random.normal(0, 0.1, count)
    across = np.cos(angle)[:, None, None] * grid[0] + np.sin(angle)[:, None, None] * grid[1]
    bar = np.abs(across - random.uniform(-0.3, 0.3, count)[:, None, None]) < 0.2
    noisy = bar * 120 + random.normal(60, 40, (count, 24, 24))
    return np.clip(noisy, 0, 255).astype(np.uint8), labels.astype(np.uint8)


@pytest.fixture(scope="session")
def dataset():
    """Give an .npz file's bytes."""
    (x_train, y_train), (x_test, y_test) = shapes(2400, 1), shapes(2100, 2)  # the second for two evaluators
    file = io.BytesIO()
    np.savez_compressed(file, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return file.getvalue()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Give a compiled network's file: convolutions, batch norm and dropout, so that every kind of state is in play."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.Input((24, 24)),
            layers.Rescaling(1 / 255),
            layers.Reshape((24, 24, 1)),
            layers.Conv2D(24, 5, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(24, 5, activation="relu"),
            layers.MaxPooling2D(4),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(4),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.002), loss, metrics=["accuracy"])
    path = tmp_path_factory.mktemp("model") / "cnn.keras"
    network.save(path)
    return path.read_bytes()


def deploy(folder, dataset, model, flags=(), kinds=True):
    """Start a platform and deploy onto it; yields, then stops it and looks for what it left."""
    platform = Platform(folder)
    platform.start(flags)
    try:
        deployed = Deployment(platform, kinds)
        deployed.put(PARAMETERS["dataset"], dataset)
        deployed.put(PARAMETERS["model"], model)
        yield deployed
    finally:
        platform.stop()
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if str(folder) in command] == []


@pytest.fixture(scope="session")
def deployed(tmp_path_factory, dataset, model):
    """Give a deployment with stem cells and stock throttles."""
    yield from deploy(tmp_path_factory.mktemp("platform"), dataset, model)


@pytest.fixture(scope="session")
def stock(tmp_path_factory, dataset, model):
    """Give a deployment as the stock standalone OpenWhisk has it: 1 024 MB, images that cannot be prewarmed."""
    flags = ("--user-memory", "1024")
    yield from deploy(tmp_path_factory.mktemp("stock"), dataset, model, flags, kinds=False)


@pytest.fixture(scope="session")
def trained(deployed):
    """Give the result of one undisturbed run."""
    return deployed.train("undisturbed")
