"""What the planner settles: a new run's plan, or that the existing one goes on; leaves plan and model in the store."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import RunError, StoreError, plain
from common.plan import params
from common.plan.make import make
from common.plan.plan import VERSION, Plan, read
from common.plan.request import asked, fetch_model
from common.storage import keys
from common.storage.file import blocks, sha256
from common.storage.objects import Location, Objects
from common.storage.run import Run


def settle(objects: Objects, given: dict[str, Any], invocation: dict[str, Any], trainers: Mapping[str, int]) -> Plan:
    """Make a run's plan, or take up the existing one; leaves plan.json and initial.keras in the store.

    `invocation`: id and time (epoch seconds) of the pipeline's start. `trainers`: the trainers' actions, and their MB.
    """
    if "run" not in given:
        params.require(given)
    run = Run(objects, given.get("run") or default_name(given["dataset"], invocation))
    plan = taken_up(run, given)
    if plan and keys.INITIAL in run.sizes(keys.INITIAL):
        return plan
    if not plan:
        params.require(given)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / keys.INITIAL
        fetch_model(objects, (plan.parameters if plan else given)["model"], model)
        plan = plan or create(run, make(objects, given, run.name, model, trainers))
        if sha256(model) != plan.model.sha256:
            raise RunError(f"run {run.name} exists with another model (sha256 {plan.model.sha256[:12]})")
        objects.create_from(run.at(keys.INITIAL), blocks(model))
    return plan


def taken_up(run: Run, given: dict[str, Any]) -> Plan | None:
    """Return an existing run's plan, None where there is none; RunError where it is not what was asked for."""
    held = run.find_whole(keys.PLAN, ("version", "run"))
    if not held:
        return None
    if held["version"] != VERSION:
        had = f"run {run.name} exists with plan version {held['version']}"
        raise RunError(f"{had}, expected {VERSION}: take a new name")
    plan = read(run)
    if given.keys() != {"run"}:
        check_same(plan, asked(given))
    check_unchanged(run.objects, plan)
    return plan


def create(run: Run, plan: Plan) -> Plan:
    """Write a plan; where another driver was first, return that one's, if it is the same."""
    if run.create_json(keys.PLAN, plan.document()):
        return plan
    first = read(run)
    check_same(first, plan.given)
    return first


def check_same(plan: Plan, given: dict[str, Any]) -> None:
    """Refuse to resume a run with other parameters than were given for it; defaults are those of its plan."""
    for name in (parameter.name for parameter in params.PARAMETERS):
        was, value = plan.parameters.get(name), given.get(name)
        if name in given and was != value:
            raise RunError(f"run {plan.run} exists with {name} {plain(was)}, got {plain(value)}")
        if name in plan.given and name not in given:
            had = f"run {plan.run} exists with {name} {plain(was)}"
            raise RunError(f"{had}, got none: give it, or the run's name alone")


def check_unchanged(objects: Objects, plan: Plan) -> None:
    """Refuse to resume a run whose dataset has been replaced; one that is gone may still be in the shards."""
    for source in plan.dataset:
        at = Location(source.bucket, source.key)
        try:
            _, etag = objects.head(at)
        except StoreError:
            return
        if etag != source.etag:
            raise RunError(f"run {plan.run} exists with another {at} (etag {source.etag}), got etag {etag}")


def default_name(dataset: str | list[str], invocation: dict[str, Any]) -> str:
    """Return a new run's name: dataset, time, and the invocation's id, so that two starts never meet."""
    name = Path(dataset if isinstance(dataset, str) else dataset[0]).stem.lower()
    stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:32].strip("-")
    began = time.strftime("%Y%m%d-%H%M%S", time.gmtime(invocation["time"]))
    return f"{stem or 'run'}-{began}-{invocation['id'][:6].lower() or 'x'}"
