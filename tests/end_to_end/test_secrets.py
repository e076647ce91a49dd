"""What a trainer holds, read from inside a trainer: no key of the store, of Redis or of OpenWhisk."""

import json
import re

import deployment

from .conftest import PARAMETERS

PROBE = """
import os
from pathlib import Path


def main(args):
    held = Path(os.environ["TMPDIR"]).parent.rglob("*")
    files = [path for path in held if path.is_file() and path.stat().st_size < 50_000]
    return {
        "env": dict(os.environ),
        "at_start": Path("/proc/self/environ").read_text(errors="replace"),
        "args": args,
        "files": {str(path): path.read_text(errors="replace") for path in files},
    }
"""


def test_a_trainers_environment_parameters_and_files_hold_no_key(deployed, tmp_path):
    environment = deployed.platform.environment()
    code = tmp_path / "probe.py"
    code.write_text(PROBE)
    try:
        deployed.wsk("action", "update", "dl/trainer", str(code), "--kind", "python:3.11-tensorflow")
        result = deployed.train("probed", **PARAMETERS)
    finally:
        deployment.deploy(environment, kinds=True)
    assert "failed 4 times, the last time: its model state is not in the store" in result["error"]
    listed = deployed.wsk("activation", "list", "dl/trainer", "--limit", "1").stdout
    held = deployed.wsk("activation", "result", re.findall(r"\b[0-9a-f]{32}\b", listed)[0]).stdout
    found = json.loads(held)
    assert found["args"]["get"]["x"].startswith(environment["S3_ENDPOINT"])
    assert any(path.endswith("stdout.log") for path in found["files"]) and "__OW_DEADLINE" in found["env"]
    password = re.search(r":([^:@]+)@", environment["REDIS_URI"])[1]
    for secret in (environment["S3_SECRET_KEY"], password, environment["AUTH"], environment["AUTH"].partition(":")[2]):
        assert secret not in held
    elsewhere = re.sub(r"X-Amz-Credential=[^&\"]*", "", held)
    assert environment["S3_ACCESS_KEY"] not in elsewhere


def test_whoever_invokes_an_action_does_not_choose_its_store(deployed):
    elsewhere = {"endpoint": "http://127.0.0.1:9", "region": "r", "bucket": "b", "access_key": "a", "secret_key": "s"}
    for name in ("planner", "splitter", "reducer", "evaluator", "status"):
        said = deployed.wsk("action", "invoke", f"dl/{name}", "-r", "-p", "s3", json.dumps(elsewhere))
        assert said.returncode == 400 - 256 and "allowed" in said.stderr, said
    theirs = {"s3": elsewhere, "reads": "b", "__ow_headers": {"authorization": "Basic a2V5"}}
    result = deployed.finish(deployed.start(run="elsewhere", config="none.json", **theirs))
    address = f"s3://{deployed.bucket.bucket}/none.json"
    assert result == {"error": f"config: {address}: got no such object, expected an existing one"}
