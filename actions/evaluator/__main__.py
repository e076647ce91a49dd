"""Evaluator: puts together what the lanes found on the held-out set, and gives the report and the pipeline's result."""

import time
from typing import Any

from common import evaluation, report
from common import run as keys
from common.errors import classified
from common.run import Run
from common.store import Objects


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a trained and judged run; a run that has one already gives it again."""
    began = time.time()
    this = Run(Objects(args["s3"]), args["run"])
    known = this.find_json(keys.REPORT)
    if known is not None:
        return dict(known)
    plan = this.plan()
    shares = evaluation.told(this, plan)
    result = {
        "run": this.name,
        **report.judgement(evaluation.merged(plan, shares)),
        **report.facts(this, plan, began, shares),
        "weights_sha256": shares[0]["weights_sha256"],
        "final": str(this.at(keys.FINAL)),
    }
    this.objects.create(this.at(keys.HISTORY), report.table(result["rounds"]).encode())
    this.objects.create(this.at(keys.REPORT_PAGE), report.page(result, plan["parameters"]).encode())
    this.create_json(keys.REPORT, result)  # last: it ends the run
    return dict(this.find_json(keys.REPORT) or result)
