"""A round of made-up lanes, as planner and trainers leave it in the store, and what its average must be.

Used by benchmarks.reducer. The network has dense layers and a batch norm and is trained by Adam, two slots a weight: a
state is three times its weights. Every lane has numbers of its own.
"""

import hashlib
import json
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import empty
from common.data.arrays import Array, Pair
from common.data.columns import Columns, Input, Label
from common.plan.params import PARAMETERS
from common.plan.plan import VERSION, HeldOut, Model, Output, Plan, Trainer
from common.storage import keys, state
from services import Bucket

ROUND = 1  # the second of three: with two starts up to it, and a wave to write after it
EXAMPLES, BATCH = 6400, 64
LAYERS, WIDTH, CHANNELS = 8, 256, 128
BEFORE, START = -2, -1  # in a lane's place: what the first round started from, and this one
STRIDE = 97  # every so manyth number is compared


class Lanes:
    """Lanes with so many megabytes of weights each, in a run of the store."""

    def __init__(self, bucket: Bucket, megabytes: int) -> None:
        self.run, self.size = f"reducer-{megabytes}", 0
        self._bucket, self._prefix = bucket, f"runs/reducer-{megabytes}/"
        self._rows = megabytes * 1_000_000 // (4 * LAYERS * WIDTH)

    @cached_property
    def base(self) -> state.Tensors:
        """The tensors that every lane's are multiples of."""
        random = np.random.Generator(np.random.PCG64(0))
        tensors: dict[str, NDArray[Any]] = {
            "optimizer.0000.adam/iteration": np.array(1000),
            "weight.0000.batch_normalization/moving_mean": random.random(CHANNELS, np.float32),
            "weight.0001.batch_normalization/moving_variance": random.random(CHANNELS, np.float32),
        }
        shapes = [(f"dense_{n}", *part) for n in range(LAYERS) for part in (("kernel", self._rows), ("bias", 1))]
        for number, (layer, part, rows) in enumerate(shapes):
            tensors[f"trainable.{number:04d}.{layer}/{part}"] = random.random((rows, WIDTH), np.float32)
            for slot in ("momentum", "velocity"):
                name = f"optimizer.{number + 1:04d}.adam/{layer}_{part}_{slot}"
                tensors[name] = random.random((rows, WIDTH), np.float32)
        return tensors

    @cached_property
    def rules(self) -> dict[str, str]:
        """What the reducer does with each tensor."""
        kept, mean, variance = list(self.base)[:3]
        moments = {mean: state.MOMENTS_MEAN + variance, variance: state.MOMENTS_VARIANCE + mean}
        return dict.fromkeys(self.base, state.MEAN) | {kept: state.KEEP} | moments

    def tensor(self, name: str, lane: int, stride: int = 1) -> NDArray[Any]:
        """Return a lane's tensor, or every so manyth number of it."""
        values = self.base[name] if stride == 1 else self.base[name].ravel()[::stride]
        return values if self.rules[name] == state.KEEP else values * np.float32(1 + lane / 32)

    def plan(self, workers: int, momentum: float) -> Plan:
        """Return the run's plan."""
        examples = EXAMPLES * workers
        train = Pair((Array("x", (examples, self._rows), "<f4"),), (Array("y", (examples,), "<i8"),))
        return Plan(
            version=VERSION,
            run=self.run,
            given={},
            parameters=dict.fromkeys(parameter.name for parameter in PARAMETERS),
            dataset=(),
            columns=Columns((Input("x", ("x",)),), (Label("y", ("y",)),)),
            seekable=True,
            train=train,
            held=(HeldOut("test", EXAMPLES, None, train),),
            weighted=False,
            model=Model("-", (Output("y", None, "mse"),)),
            trainer=Trainer("trainer", 384, "trainer", None, None),
            workers=workers,
            epochs=3,
            rounds=3,
            batch=BATCH,
            seed=0,
            learning_rate=None,
            optimizer=None,
            outer_momentum=momentum,
            optimizer_state="average",
            weighting="accuracy",
            counts=[EXAMPLES] * workers,
            held_out=EXAMPLES,
            shares=1,
            evaluate_on="test",
            validation=None,
            created=0.0,
            token="-",
            warnings=[],
        )

    def upload(self, workers: int) -> None:
        """Write the states of the round's lanes and what it started from."""
        step, sums = self.plan(workers, 0).schedule().steps(ROUND, 0), {"loss": [1.0, float(EXAMPLES)]}
        for lane in range(workers):
            told = state.Progress(self.rules, ROUND, lane, step, EXAMPLES, sums, 8.0, 10.0)
            told.validation = {"loss": 1.0, "accuracy": weight(lane)}
            self._write(keys.state_key(ROUND, lane, step), {n: self.tensor(n, lane) for n in self.base}, told.pack())
        for key, who in ((keys.state_key(0, 0, 0), BEFORE), (keys.model_key(ROUND), START)):
            self.size = self._write(key, {n: self.tensor(n, who) for n in self.base}, {})

    def _write(self, key: str, tensors: state.Tensors, metadata: dict[str, str]) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state"
            state.save(path, tensors, metadata)
            self._bucket.client.upload_file(str(path), self._bucket.bucket, self._prefix + key)
            return path.stat().st_size

    def urls(self, workers: int) -> list[str]:
        """Return where the lanes' states can be read."""
        step = self.plan(workers, 0).schedule().steps(ROUND, 0)
        places = [self._prefix + keys.state_key(ROUND, lane, step) for lane in range(workers)]
        return [self._bucket.client.generate_presigned_url("get_object", self._place(key)) for key in places]

    def prepare(self, workers: int, momentum: float, driver: str) -> None:
        """Leave plan and ledger as they are when the round's wave has ended, and nothing that came after."""
        for later in (keys.round_folder(ROUND + 1), keys.wave_key(1)):
            empty(self._bucket, self._prefix + later)
        slices = [{"round": ROUND, "lane": lane, "start": 0} for lane in range(workers)]
        times = {"issued": 0.0, "deadline": 60.0, "reducer_seconds": 0.0}
        wave = {"wave": 0, "driver": driver, "slices": slices, **times}
        for key, document in ((keys.PLAN, self.plan(workers, momentum).document()), (keys.wave_key(0), wave)):
            self._bucket.client.put_object(**self._place(self._prefix + key), Body=json.dumps(document).encode())

    def check(self, workers: int, momentum: float) -> str:
        """Compare what the reducer wrote with numpy's averages; return the digest of its bytes."""
        body = self._bucket.client.get_object(**self._place(self._prefix + keys.model_key(ROUND + 1)))["Body"].read()
        for name, entry in state.read_header(body)[0].items():
            got = np.frombuffer(body[entry.begin : entry.end], entry.dtype)[::STRIDE]
            np.testing.assert_allclose(got, self.expected(name, workers, momentum), rtol=1e-6, err_msg=name)
        return hashlib.sha256(body).hexdigest()

    def expected(self, name: str, workers: int, momentum: float) -> NDArray[Any]:
        """Return what the next round starts from: every so manyth number of a tensor."""
        rule, weights = self.rules[name], [weight(lane) for lane in range(workers)]
        if rule == state.KEEP:
            return self.tensor(name, 0, STRIDE)
        average = np.average(self._lanes(name, workers), axis=0, weights=weights)
        if rule.startswith(state.MOMENTS_VARIANCE):
            means = self._lanes(rule.removeprefix(state.MOMENTS_VARIANCE), workers)
            average += np.average((means - np.average(means, 0, weights)) ** 2, axis=0, weights=weights)
        if name.startswith("trainable."):
            average += momentum * (self.tensor(name, START, STRIDE) - self.tensor(name, BEFORE, STRIDE))
        return average

    def _lanes(self, name: str, workers: int) -> NDArray[np.float64]:
        return np.array([self.tensor(name, lane, STRIDE) for lane in range(workers)], np.float64)

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket.bucket, "Key": key}

    def delete(self) -> None:
        """Remove the run: its states are gigabytes."""
        empty(self._bucket, self._prefix)


def weight(lane: int) -> float:
    """Return a lane's validation accuracy, which weighs it: all lanes train on as many examples."""
    return 0.5 + lane / 64
