"""dl-pipeline, run-steps and train-loop on a real localwhisk, killed at work; small actions in their steps' places."""

import base64
import io
import json
import zipfile
from pathlib import Path

import pytest
import requests

import services
import zips
from local_platform import read_env

from .test_pipeline import wait
from .test_wave_map import RUNTIMES

# Each step notes its call, waits while it is held, and gives the next of its answers, the last one again and again.
STEP = """
import json, os, pathlib, time
FOLDER = pathlib.Path("FOLDER_NAME")
def main(args):
    name = os.environ["__OW_ACTION_NAME"].rpartition("/")[2]
    with (FOLDER / "calls").open("a") as file:
        file.write(json.dumps([name, args]) + "\\n")
    while (FOLDER / f"hold-{name}").exists():
        time.sleep(0.01)
    told = [json.loads(line)[0] for line in (FOLDER / "calls").read_text().splitlines()].count(name)
    answers = json.loads((FOLDER / "answers").read_text())[name]
    answer = answers[min(told, len(answers)) - 1]
    if answer == "die":
        os._exit(1)
    return answer
"""
# A conductor that is killed when it is asked for its next step, once, where a file says so.
MORTAL = """
const conduct = exports.main
exports.main = params => {
  const fs = require('fs')
  if (fs.existsSync('FILE_NAME')) {
    fs.unlinkSync('FILE_NAME')
    process.kill(process.pid, 'SIGKILL')
  }
  return conduct(params)
}
"""
PLANNED = {"run": "r", "driver": "d", "token": "t", "value": []}
ANSWERS = {
    "planner": [PLANNED],
    "splitter": [{"pending": False, "value": []}],
    "reducer": [{"pending": True, "wave": 0, "value": [{"lane": 0}]}, {"pending": False, "wave": 0, "value": []}],
    "wave": [{"value": [{"step": 1}]}],
    "evaluator": [{"run": "r", "accuracy": 0.5}],
    "status": [{}],
}
LIMITS = {"timeout": 60000, "memory": 128, "logs": 0}


class Steps:
    """A localwhisk with the real conductors and small steps."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o777)  # containers are users of their own where they may be
        (folder / "runtimes.json").write_text(json.dumps({"runtimes": RUNTIMES}))
        flags = ["--runtimes", str(folder / "runtimes.json"), "--user-memory", "4096"]
        self.localwhisk = services.start_localwhisk(folder / "localwhisk", services.free_port(), flags)
        properties = read_env(folder / "localwhisk" / "wskprops")
        self.address = f"{properties['APIHOST']}/api/v1/namespaces/_"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = tuple(properties["AUTH"].split(":", 1))
        zips.build_all(zips=folder / "zips")
        self.put("packages/dl", {})
        for name in ANSWERS:
            code = STEP.replace("FOLDER_NAME", str(folder))
            self.put(f"actions/dl/{name}", {"exec": {"kind": "python:3.11", "code": code}, "limits": LIMITS})
        for name in ("dl-pipeline", "dl/run-steps", "dl/train-loop"):
            code = self.mortal(Path(name).name)
            notes = [{"key": key, "value": True} for key in ("conductor", "provide-api-key")]
            execution = {"kind": "nodejs:20", "code": base64.b64encode(code).decode(), "binary": True}
            self.put(f"actions/{name}", {"exec": execution, "annotations": notes, "limits": LIMITS})
        for name, conductor in (("run", "run-steps"), ("train", "train-loop")):
            self.put(f"actions/dl/{name}", {"exec": {"kind": "sequence", "components": [f"/_/dl/{conductor}"]}})

    def close(self):
        self.session.close()
        self.localwhisk.process.stop(20)

    def put(self, path, body):
        answer = self.session.put(f"{self.address}/{path}?overwrite=true", json=body)
        assert answer.status_code == 200, answer.text

    def mortal(self, name):
        """Return a conductor's zip, made mortal."""
        file = io.BytesIO()
        with zipfile.ZipFile(self.folder / "zips" / f"{name}.zip") as made, zipfile.ZipFile(file, "w") as archive:
            for entry in made.infolist():
                more = (
                    MORTAL.replace("FILE_NAME", str(self.folder / f"kill-{name}"))
                    if entry.filename == "index.js"
                    else ""
                )
                archive.writestr(entry, made.read(entry) + more.encode())
        return file.getvalue()

    def start(self, hold=None, **answers):
        """Invoke dl-pipeline, one step of it held; return the activation's id."""
        (self.folder / "calls").write_text("")
        (self.folder / "calls").chmod(0o666)
        (self.folder / "answers").write_text(json.dumps({**ANSWERS, **answers}))
        if hold:
            (self.folder / f"hold-{hold}").touch()
        return self.session.post(f"{self.address}/actions/dl-pipeline", json={"dataset": "d"}).json()["activationId"]

    def result(self, activation):
        """Wait for a result."""
        address = f"{self.address}/activations/{activation}/result"
        wait(lambda: self.session.get(address).status_code == 200)
        return self.session.get(address).json()["result"]

    def calls(self, name):
        """Return with what a step was called."""
        lines = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        return [args for called, args in lines if called == name]


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    running = Steps(tmp_path_factory.mktemp("steps"))
    yield running
    running.close()


@pytest.mark.parametrize(("conductor", "held", "planned"), [("run-steps", "splitter", 2), ("train-loop", "reducer", 1)])
def test_a_conductor_that_is_killed_at_work_is_called_again(steps, conductor, held, planned):
    activation = steps.start(hold=held)
    wait(lambda: steps.calls(held))
    (steps.folder / f"kill-{conductor}").touch()
    (steps.folder / f"hold-{held}").unlink()
    assert steps.result(activation) == {"run": "r", "accuracy": 0.5}
    first, *others = steps.calls("planner")
    assert others == [first] * (planned - 1)
    assert first["given"] == {"dataset": "d"} and len(first["invocation"]["id"]) == 32
    assert steps.calls("status") == [] and not (steps.folder / f"kill-{conductor}").exists()


def test_a_step_that_is_killed_is_called_again(steps):
    activation = steps.start(planner=["die", PLANNED], evaluator=["die", {"run": "r", "accuracy": 1}])
    assert steps.result(activation) == {"run": "r", "accuracy": 1}
    assert [len(steps.calls(name)) for name in ("planner", "splitter", "evaluator", "status")] == [2, 1, 2, 0]


def test_what_cannot_be_mended_is_tried_once_and_kept(steps):
    activation = steps.start(reducer=[{"error": "RunError: model: got y (3,), expected (4,)"}])
    assert steps.result(activation) == {"error": "model: got y (3,), expected (4,)"}
    assert len(steps.calls("reducer")) == 1
    assert steps.calls("status") == [{"run": "r", "token": "t", "failure": "model: got y (3,), expected (4,)"}]
