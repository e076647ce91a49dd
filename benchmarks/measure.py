"""One measurement: a case, once, from invocation to evaluated model; used by benchmarks.run."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import costs, curves, tables
from benchmarks.cases import Case
from benchmarks.stage import Running, Stage, StageError
from services import ROOT, Bucket

PATIENCE = 7200  # seconds for one job
LINK_SECONDS = 7200
RECORDS_SECONDS = 1.0  # records of the last activations are written a moment after the result

Measurement = dict[str, Any]


def measure(stage: Stage, case: Case, pair: int, data: Path, model: Path) -> Measurement:
    """Carry out a case; its pair's number is also its seed."""
    if case.method == "bare":
        return bare(case, data, model)
    with stage.fresh(case, [data, model]) as running:
        found = deployed(running, case, pair, data, model)
        if running.watch.error:
            raise StageError(running.watch.error)
        return found


def bare(case: Case, data: Path, model: Path) -> Measurement:
    """Run as many processes of plain Keras as there are jobs: the action image's packages and oneDNN, every core."""
    given = {"data": data.as_uri(), "model": model.as_uri(), "epochs": case.epochs, "batch": case.batch}
    words = [
        str(ROOT / ".venv-tensorflow" / "bin" / "python"),
        "-m",
        "benchmarks.bare",
        json.dumps({**given, "curve": case.curve, "put": None}),
    ]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **tables.environment()}
    began = time.time()
    jobs = [
        subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(case.jobs)
    ]
    said = [job.communicate()[0] for job in jobs]
    seconds = time.time() - began
    failures = sum(job.returncode != 0 for job in jobs)
    results = [json.loads(text.splitlines()[-1]) for text, job in zip(said, jobs, strict=True) if job.returncode == 0]
    return {**outcome(results, began), "seconds": round(seconds, 3), "failures": failures}


def deployed(running: Running, case: Case, pair: int, data: Path, model: Path) -> Measurement:
    """Invoke as many activations as there are jobs and see them through."""
    runs = [f"bench-{time.strftime('%Y%m%d-%H%M%S')}-{number}" for number in range(case.jobs)]
    give = single_params if case.method == "single" else pipeline_params
    params = [give(running.bucket, case, pair, data, model, run) for run in runs]
    action = {"single": "single", "pipeline": "dl-pipeline"}[case.method]
    running.watch.forget()
    began = time.time()
    activations = [running.client.invoke(action, given) for given in params]
    ended = [running.client.wait(activation, PATIENCE) for activation in activations]
    seconds = time.time() - began
    memory = running.watch.peak()
    time.sleep(RECORDS_SECONDS)
    records = list(running.client.records(began))
    results = [record["response"]["result"] for record in ended if record["response"]["success"]]
    found = {
        **outcome(results, began),
        "seconds": round(seconds, 3),
        "failures": len(ended) - len(results),
        "errors": [record["response"]["result"] for record in ended if not record["response"]["success"]],
        "memory": memory,
        **costs.summary(records),
    }
    if case.curve and case.method == "pipeline" and results:
        found["points"] = curves.points(running.bucket, runs[0], began, data)
    for prefix in (*(f"runs/{run}/" for run in runs), "splits/"):  # or the next run would find its data split
        empty(running.bucket, prefix)
    return found


def outcome(results: Sequence[Mapping[str, Any]], began: float) -> Measurement:
    """Return what the jobs say of their models: the mean accuracy, and the first one's curve."""
    if not results:
        return {"accuracy": None, "points": []}
    accuracy = sum(result["accuracy"] for result in results) / len(results)
    points = [{**point, "at": round(point["at"] - began, 3)} for point in results[0].get("points", [])]
    return {"accuracy": round(accuracy, 6), "points": points}


def single_params(bucket: Bucket, case: Case, _: int, data: Path, model: Path, run: str) -> Mapping[str, Any]:
    """Return the single action's parameters: presigned URLs, as a trainer gets them."""
    get = {name: link(bucket, "get", f"bench/{file.name}") for name, file in (("data", data), ("model", model))}
    put = link(bucket, "put", f"runs/{run}/final.keras")
    return {**get, "put": put, "epochs": case.epochs, "batch": case.batch, "curve": case.curve}


def pipeline_params(_: Bucket, case: Case, pair: int, data: Path, model: Path, run: str) -> Mapping[str, Any]:
    """Return dl-pipeline's parameters."""
    files = {"dataset": f"bench/{data.name}", "model": f"bench/{model.name}"}
    return {"epochs": case.epochs, **files, "run": run, "seed": pair, **case.parameters}


def link(bucket: Bucket, method: str, key: str) -> str:
    """Return a presigned URL."""
    place = {"Bucket": bucket.bucket, "Key": key}
    return str(bucket.client.generate_presigned_url(f"{method}_object", Params=place, ExpiresIn=LINK_SECONDS))


def empty(bucket: Bucket, prefix: str) -> None:
    """Delete what a run left: a benchmark's states are some gigabytes."""
    for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            bucket.client.delete_object(Bucket=bucket.bucket, Key=entry["Key"])
