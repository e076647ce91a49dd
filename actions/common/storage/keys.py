"""The name of every object of a run, below `runs/<run>/`, and of a split; storage layout: docs/architecture.md."""

import re

RUNS = "runs/"  # of the deployment: a folder for each run
PLAN = "plan.json"
INITIAL = "initial.keras"
SPLIT = "split.json"
CANCEL = "cancel.json"
STOP = "stop.json"
BEST = "best.json"
LEASE = "lease.json"
WARM_UP = "warm-up.json"
WARM = "warm-up/"
COLD = WARM + "cold.json"
SPLITS = "splits/"  # of the deployment: a folder for each way to split a dataset
USERS = "users/"
ROUNDS = "rounds/"
SHARDS = "shards/"
PIECES = "pieces/"
SPLIT_WAVES = "split-waves/"
BEAT = "beat.json"
DRIVERS = "drivers/"
FAILURES = "failures/"
SCORES = "scores/"
REJECTED = "rejected/"
FINAL = "final.keras"
CLASSES = "classes.json"
HELD_OUT = ("test/", "validation/")
HISTORY = "history.csv"
REPORT = "report.json"
REPORT_PAGE = "report.html"


def user_key(run: str) -> str:
    """Return the key that says that a run reads a split."""
    return f"{USERS}{run}"


def shard_key(shard: int, array: str) -> str:
    """Return the key of array `x` or `y` of a shard."""
    return f"shards/{shard:02d}/{array}.npy"


def part_key(part: str, array: str) -> str:
    """Return the key of array `x` or `y` of the `test` or `validation` set."""
    return f"{part}/{array}.npy"


def wave_key(wave: int) -> str:
    """Return the key of a wave's ledger entry."""
    return f"waves/{wave:06d}.json"


def split_wave_key(wave: int) -> str:
    """Return the key of the document of a wave of splitters."""
    return f"{SPLIT_WAVES}{wave:06d}.json"


def warm_key(lane: int) -> str:
    """Return the key of what a lane's trainer says when it is warm."""
    return f"{WARM}lane-{lane:02d}.json"


def scores_folder(state: str) -> str:
    """Return the folder of what lanes found of an average, whose state has this key."""
    return f"{SCORES}{state.removeprefix(ROUNDS).removesuffix('.safetensors')}/"


def scores_key(state: str, lane: int) -> str:
    """Return the key of what a lane found of that average on its share of the held-out set."""
    return f"{scores_folder(state)}lane-{lane:02d}.json"


def numbered_key(folder: str, number: int) -> str:
    """Return the key of the n-th document of a folder: of a driver's start, or of a recorded failure."""
    return f"{folder}{number:04d}.json"


def rejected_key(wave: int, key: str) -> str:
    """Return where an object lies that was refused after a wave."""
    return f"{REJECTED}{wave:06d}/{key}"


def rejection_key(wave: int, round_: int, lane: int) -> str:
    """Return the key that says why what a lane left in a round was refused after a wave."""
    return rejected_key(wave, f"round-{round_:05d}-lane-{lane:02d}.json")


def round_folder(round_: int) -> str:
    """Return the folder of a round."""
    return f"{ROUNDS}{round_:05d}/"


def model_key(round_: int) -> str:
    """Return the key of the model state that a round >= 1 starts from."""
    return round_folder(round_) + "model.safetensors"


def mean_key(round_: int, count: int) -> str:
    """Return the key of the mean of so many averages, of which the last is the one that a round >= 1 starts from."""
    return f"{round_folder(round_)}mean-of-{count}.safetensors"


def final_key(state: str) -> str:
    """Return the key of an average's `.keras` file until it is known to be the final model."""
    return scores_folder(state) + "model.keras"


def file_key(round_: int) -> str:
    """Return the key of the `.keras` file of the average that a round >= 1 starts from."""
    return round_folder(round_) + "model.keras"


def state_key(round_: int, lane: int, step: int) -> str:
    """Return the key of a lane's model state after `step` steps of a round."""
    return f"{round_folder(round_)}lane-{lane:02d}/step-{step:08d}.safetensors"


STATE = re.compile(r"rounds/\d{5}/lane-(\d{2})/step-(\d{8})\.safetensors")


def read_state_key(key: str) -> tuple[int, int] | None:
    """Return (lane, step) of a lane state's key, None for any other key."""
    match = STATE.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None


REJECTION = re.compile(r"rejected/\d{6}/round-(\d{5})-lane-(\d{2})\.json")


def read_rejection_key(key: str) -> tuple[int, int] | None:
    """Return (round, lane) of a refusal's key, None for any other key."""
    match = REJECTION.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None
