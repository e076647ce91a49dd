"""The manifest against everything that relies on it: compositions, parameters, stock limits, the docs."""

import re
from pathlib import Path

import pytest
import yaml

import deployment
from common.plan import params

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = yaml.safe_load((ROOT / "manifest.yaml").read_text())["project"]["packages"]
ACTIONS = {
    (f"{package}/{name}" if package != "default" else name): action
    for package, held in PACKAGES.items()
    for name, action in held["actions"].items()
}
SEQUENCES = {f"dl/{name}" for name in PACKAGES["dl"]["sequences"]}
COMPOSITIONS = {path.stem: path.read_text() for path in (ROOT / "compositions").glob("*.js")}


def test_compositions_call_what_is_deployed():
    called = {name for text in COMPOSITIONS.values() for name in re.findall(r"'/_/([\w/-]+)'", text)}
    called |= {f"dl/{name}" for text in COMPOSITIONS.values() for name in re.findall(r"patient\('([\w-]+)', \d", text)}
    assert called <= ACTIONS.keys() | SEQUENCES
    assert {name.removeprefix("dl/") for name in called} >= {"planner", "splitter", "reducer", "trainer", "evaluator"}


def test_an_upload_reaches_the_pipeline_through_on_upload_alone():
    held = PACKAGES["dl"]
    assert list(held["triggers"]) == ["dataset-uploaded"]
    assert held["rules"] == {"upload-starts-run": {"trigger": "dataset-uploaded", "action": "upload-pipeline"}}
    assert held["sequences"]["upload-pipeline"] == {"actions": "on-upload, ./dl-pipeline"}
    assert ACTIONS["dl/on-upload"].keys() == {"version", "function", "docker", "limits", "annotations"}


def test_every_action_folder_is_deployed():
    folders = {path.parent.name for path in (ROOT / "actions").glob("*/__main__.py")}
    zips = {Path(action["function"]).stem for action in ACTIONS.values()}
    assert zips == folders | COMPOSITIONS.keys()


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_stays_inside_the_stock_limits_and_keeps_its_version(name):
    action = ACTIONS[name]
    assert 128 <= action["limits"]["memorySize"] <= 512
    assert action["limits"]["timeout"] <= 300_000
    assert action["version"] == "0.1.0"
    assert action["annotations"]["description"]


def test_conductors_and_trainers_are_not_held_for_their_logs():
    held = {name for name, action in ACTIONS.items() if action["limits"]["logSize"] != 0}
    assert not held & {"dl-pipeline", "dl/train-loop", "dl/wave-map", "dl/trainer", "dl/reducer"}


def test_trainers_differ_in_memory_alone_and_the_planner_knows_how_much():
    trainers = {name: ACTIONS[f"dl/{name}"] for name in ("trainer", "trainer-512", "trainer-large")}
    memory = {name: action["limits"]["memorySize"] for name, action in trainers.items()}
    assert memory == {"trainer": 384, "trainer-512": 512, "trainer-large": 512}
    assert ACTIONS["dl/planner"]["inputs"]["trainers"] == memory
    alike = [
        {**action, "annotations": 0, "limits": {**action["limits"], "memorySize": 0}} for action in trainers.values()
    ]
    assert alike[0] == alike[1] == alike[2]
    assert PACKAGES["dl"]["sequences"]["model"]["actions"] == "reducer, trainer-large"


def test_the_largest_trainer_is_as_large_as_the_platform_allows(tmp_path, monkeypatch):
    monkeypatch.setattr(deployment, "MADE_MANIFEST", tmp_path / "made.yaml")
    assert deployment.write_manifest({}, kinds=False) == deployment.MANIFEST
    made = deployment.write_manifest({"DL_TRAINER_MEMORY": "768"}, kinds=False)
    held = yaml.safe_load(made.read_text())["project"]["packages"]["dl"]["actions"]
    assert (
        held["trainer-large"]["limits"]["memorySize"] == held["planner"]["inputs"]["trainers"]["trainer-large"] == 768
    )
    assert held["trainer-512"]["limits"]["memorySize"] == 512


@pytest.mark.parametrize("memory", ["much", "256", "-1", "1.5"])
def test_no_memory_for_the_largest_trainer(memory):
    with pytest.raises(deployment.DeployError) as error:
        deployment.trainer_memory(memory)
    assert str(error.value) == f"DL_TRAINER_MEMORY: got {memory}, expected MB, 512 or more, as the platform allows"


def test_secrets_are_inputs_of_the_actions_that_need_them_alone():
    assert not any(held.get("inputs") for held in PACKAGES.values())
    with_keys = {name.removeprefix("dl/") for name, action in ACTIONS.items() if "s3" in action.get("inputs", {})}
    assert with_keys == {"planner", "splitter", "reducer", "evaluator", "status"}
    assert [name for name, action in ACTIONS.items() if "$composer" in action.get("inputs", {})] == ["dl/wave-map"]
    with_api_key = [name for name, action in ACTIONS.items() if action["annotations"].get("provide-api-key")]
    assert with_api_key == ["dl/run-steps", "dl/wave-map"]


def test_nobody_who_invokes_an_action_chooses_its_store():
    with_keys = {name for name, action in ACTIONS.items() if "s3" in action.get("inputs", {})}
    assert with_keys == {name for name, action in ACTIONS.items() if action["annotations"].get("final") is True}


def test_nothing_is_open_without_the_namespaces_key():
    """A caller's `$composer` is code to a conductor, and the trigger's fields are an uploader's."""
    for package in PACKAGES.values():
        assert not {"apis", "feeds"} & package.keys()
        for entity in [*package["actions"].values(), *package.get("sequences", {}).values()]:
            assert not {"web", "web-export", "exposedUrl"} & {*entity, *entity.get("annotations", {})}


def test_the_pipeline_describes_every_parameter():
    described = ACTIONS["dl-pipeline"]["annotations"]["parameters"]
    assert [(row["name"], row["type"]) for row in described] == [(p.name, p.kind) for p in params.PARAMETERS]


def test_the_docs_hold_every_parameter_and_action():
    text = (ROOT / "docs" / "actions.md").read_text()
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (\w+) \|", text, re.MULTILINE))
    assert rows == {p.name: p.kind for p in params.PARAMETERS}
    for name in [*ACTIONS, *SEQUENCES, *PACKAGES["dl"]["triggers"]]:
        assert f"`{name.removeprefix('dl/')}`" in text
