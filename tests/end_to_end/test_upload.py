"""A bucket as a user: an upload of train.json, and nothing else, leaves a trained model."""

import json
import time

import pytest

from .conftest import PARAMETERS, at_first
from .test_pipeline import wait


class Uploads:
    """What uploads into the deployment's bucket set off."""

    def __init__(self, deployed):
        self.deployed = deployed

    def put(self, name, document):
        """Upload a configuration; return the name its run has to have."""
        client, bucket = self.deployed.bucket.client, self.deployed.bucket.bucket
        etag = client.put_object(Bucket=bucket, Key=f"datasets/{name}/train.json", Body=json.dumps(document))["ETag"]
        return f"{name}-{etag.strip(chr(34))[:12]}"

    def ended(self, run):
        """Return the results of the pipelines that ended for a run, the latest first."""
        listed = self.deployed.get("activations?name=dl/upload-pipeline&docs=true&limit=200")
        ours = []
        for record in listed:
            inner = [self.deployed.get(f"activations/{activation}") for activation in record["logs"]]
            if inner and inner[0]["response"]["result"].get("run") == run and len(inner) == 2:
                ours.append(record["response"]["result"])
        return ours

    def finish(self, run, count=1):
        """Wait until so many pipelines have ended for a run; return the latest one's result."""
        wait(lambda: len(self.ended(run)) >= count, seconds=400)
        return self.ended(run)[0]

    def fires(self):
        """Return how often the trigger started something; a fire that the throttle stopped is fired again."""
        records = self.deployed.get("activations?name=dataset-uploaded&docs=true&limit=200")
        return sum(json.loads(line)["success"] for record in records for line in record["logs"])


@pytest.fixture(scope="module")
def uploads(deployed):
    return Uploads(deployed)


def test_an_upload_and_nothing_else_trains_and_the_same_again_is_one_run(deployed, uploads, trained):
    run = uploads.put("shapes", PARAMETERS)
    result = uploads.finish(run)
    assert result["run"] == run
    assert result["weights_sha256"] == trained["weights_sha256"]
    before = deployed.run(run).sizes("")
    assert {"plan.json", "final.keras", "report.json"} <= before.keys()
    time.sleep(1)  # S3 servers tell times of whole seconds
    assert uploads.put("shapes", PARAMETERS) == run
    assert uploads.finish(run, count=2) == result
    assert deployed.run(run).sizes("") == before
    assert deployed.attempts(run) == at_first(rounds=2, lanes=3)


def test_nothing_of_the_trigger_but_config_and_run_reaches_the_pipeline(deployed, uploads, trained):
    run = uploads.put("narrow", PARAMETERS | {"workers": 1, "epochs": 1, "rounds": 1})
    uploads.finish(run)
    held = deployed.get("activations?name=dl/on-upload&docs=true&limit=200")
    passed = [record["response"]["result"] for record in held if record["response"]["result"].get("run") == run]
    config = f"s3://{deployed.bucket.bucket}/datasets/narrow/train.json"
    assert passed == [{"config": config, "run": run, "uploaded": True}]
    key = deployed.platform.environment()["AUTH"].partition(":")[2]
    assert "__ow_headers" not in json.dumps(held) and key not in json.dumps(held)


def test_seventy_other_uploads_fire_nothing(deployed, uploads):
    before = uploads.fires()
    for number in range(35):
        deployed.put(f"others/{number}/train.json", b"{}")
        deployed.put(f"datasets/others/{number}.npz", b"x")
    run = uploads.put("after-others", {"workers": 0})
    uploads.finish(run)
    assert uploads.fires() == before + 1


def test_an_upload_while_the_relay_is_down_starts_when_it_is_back(deployed, uploads, trained):
    memory = deployed.platform.state / "relay" / "passed-on.json"
    wait(lambda: "datasets/after-others/train.json" in memory.read_text(), seconds=20)  # else it passes that on again
    server = deployed.platform.running()["relay"].process
    server.kill()
    run = uploads.put("missed", PARAMETERS | {"workers": 1, "epochs": 1, "rounds": 1})
    before = uploads.fires()
    assert deployed.platform.start() == ["relay"]
    assert uploads.finish(run)["final"] == f"s3://{deployed.bucket.bucket}/runs/{run}/final.keras"
    assert uploads.fires() == before + 1


@pytest.mark.parametrize(
    ("name", "more", "sentence"),
    [
        ("composer", {"$composer": {"state": 3}}, "$composer: got an unknown parameter, expected one of dataset, "),
        ("headers", {"__ow_headers": {"authorization": "Basic x"}}, "__ow_headers: got an unknown parameter, expected"),
        ("unknown", {"wrokers": 2}, "wrokers: got an unknown parameter, expected one of dataset, "),
        ("reading", {"dataset": "runs/undisturbed/final.keras"}, "dataset: got s3://openwhisk-dl/runs/undisturbed/"),
        ("elsewhere", {"model": "s3://others/cnn.keras"}, "model: got bucket others, expected openwhisk-dl"),
        ("nested", {"config": "datasets/shapes/train.json"}, "expected a JSON object of parameters without config"),
    ],
)
def test_what_no_parameter_is_called_is_refused_in_one_line_without_a_wave(deployed, uploads, name, more, sentence):
    run = uploads.put(f"bad-{name}", PARAMETERS | more)
    result = uploads.finish(run)
    assert result.keys() == {"error"} and sentence in result["error"] and "\n" not in result["error"]
    pipelines = deployed.get("activations?name=dl-pipeline&docs=true&limit=200")
    assert result in [record["response"]["result"] for record in pipelines]
    assert deployed.run(run).sizes("") == {}
