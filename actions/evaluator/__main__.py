"""Evaluator: puts together what the lanes found on the held-out set, and gives the report and the pipeline's result."""

import time
from typing import Any

from common.errors import classified
from common.plan import plan as plans
from common.reports import evaluation, report
from common.rounds import shares
from common.storage import keys
from common.storage.objects import Objects
from common.storage.run import Run


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a trained and evaluated run; a run that has one already gives it again."""
    began = time.time()
    run = Run(Objects(args["s3"]), args["run"])
    known = run.find_json(keys.REPORT)
    if known is not None:
        return dict(known)
    plan = plans.read(run)
    found = shares.collect(run, plan)
    result = {
        "run": run.name,
        **report.metrics(evaluation.merged(plan.shares, found)),
        **report.facts(run, plan, began, found),
        "weights_sha256": found[0]["weights_sha256"],
        "final": str(run.at(keys.FINAL)),
    }
    run.objects.create(run.at(keys.HISTORY), report.table(result["rounds"]).encode())
    run.objects.create(run.at(keys.REPORT_PAGE), report.page(result, plan.parameters).encode())
    run.create_json(keys.REPORT, result)  # last: it ends the run
    return dict(run.find_json(keys.REPORT) or result)
