"""What a finished run says of itself: the pipeline's result, the history as CSV, and a page to look at.

Used by the evaluator. Every number is of JSON's own kinds, and finite.
"""

import csv
import html
import io
import json
import time
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from common.plan.plan import Plan
from common.reports import rules
from common.rounds import ledger, rejection, rounds, shares, steering, stopping, warm_up
from common.rounds.ledger import Slice, Wave
from common.rounds.stopping import Stop
from common.storage.run import Run
from common.training import processor

GB = 1 << 30
SMALL_GB = 0.25  # memory limit of splitter, reducer and evaluator, which do not measure theirs
WIDTH, HEIGHT = 640, 200  # of the curve

PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$run</title>
<style>body{font:15px sans-serif;max-width:46em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}
svg{border:1px solid #ccc;width:100%}polyline{fill:none;stroke:#06c;stroke-width:2}</style></head>
<body><h1>$run</h1>
<h2>Result</h2><table>$facts</table>
<h2>Training loss, round by round</h2>
<svg viewBox="0 0 $width $height" role="img" aria-label="training loss"><polyline points="$points"/></svg>
<h2>Rounds</h2><table>$rounds</table>
<h2>Parameters</h2><table>$parameters</table></body></html>
""")


def metrics(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return accuracy, loss and the other metrics of an evaluation."""
    metrics = {name: value for name, value in scores.items() if name != "loss"}
    return {"accuracy": rounds.accuracy(metrics), "loss": scores["loss"], "metrics": metrics}


def facts(run: Run, plan: Plan, began: float, found: Sequence[shares.Share]) -> dict[str, Any]:
    """Return what the run's documents and evaluated shares say of rounds, time and cost; `began` is the evaluator's."""
    split, stop = run.split(), stopping.end(run, plan)
    summaries = rounds.all_summaries(run, range(stop.rounds))
    waves = ledger.first(run, len(run.sizes("waves/")))
    warmed, (warm, doubts) = warm_up.find(run), warm_up.measurements(run)
    kinds = processor.seen(summaries)
    now, evaluated = time.time(), next(wave.issued for wave in waves if wave.round == plan.rounds)
    phases = {"split": split["seconds"], "train": evaluated - waves[0].issued, "evaluate": now - evaluated}
    return {
        "epochs": plan.parameters["epochs"],  # asked
        "passes": whole(plan.epochs * stop.rounds / plan.rounds),  # trained: more, where parity was asked too
        "rounds": with_rates(run, plan, history(summaries, shares.last(found, stop))),
        "stopped": stopped(stop),
        "validation": plan.validation and vars(plan.validation),
        "seconds": {name: round(s, 3) for name, s in {**phases, "total": now - plan.created}.items()},
        "activations": activations(waves, split["activations"], plan.workers if warmed else 0),
        "gb_seconds_estimated": gb_seconds(
            [(one["seconds"], one["memory"]) for one in (*warm, *found)]
            + [(lane["activation_seconds"], lane["memory"]) for lanes in summaries for lane in lanes],
            split["activation_seconds"] + sum(wave.reducer_seconds for wave in waves) + now - began,
        ),
        "memory": {"estimated": plan.trainer.estimated, "measured": measured_peak(warm, found, summaries)},
        "averaging": rules.told(run, plan),
        "processors": kinds,
        "warnings": [
            *(*plan.warnings, *split["warnings"], *warnings(plan, waves)),
            *(*processor.warnings(kinds), *rejection.warnings(run), *doubts),
        ],
    }


def measured_peak(
    warm: Sequence[Mapping[str, Any]], found: Sequence[shares.Share], summaries: Sequence[Sequence[Mapping[str, Any]]]
) -> int:
    """Return the most memory that a trainer said it took, in bytes: warming up, training or evaluating."""
    return max(int(one["memory"]) for one in (*warm, *found, *(lane for lanes in summaries for lane in lanes)))


def whole(number: float) -> float:
    """Return a number without a point where it is a whole one."""
    return int(number) if number == int(number) else round(number, 3)


def history(summaries: Sequence[Sequence[dict[str, Any]]], last: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row a round: training loss and metrics, those of its average as Keras calls them, examples, seconds.

    The lanes of the next round evaluated that average; what the `last` one gave is known from the evaluation, unless
    a rule had ended training before it.
    """
    names = next((found for lanes in summaries[1:] if (found := rounds.validation(lanes))), last)
    evaluated = [*(rounds.validation(lanes) for lanes in summaries[1:]), last]
    return [
        {
            "round": number,
            **rounds.metrics(lanes),
            **{f"val_{name}": found.get(name) for name in names},
            "examples": sum(lane["examples"] for lane in lanes),
            "seconds": round(max(lane["activation_seconds"] for lane in lanes), 3),
        }
        for number, (lanes, found) in enumerate(zip(summaries, evaluated, strict=True))
    ]


def stopped(stop: Stop) -> dict[str, Any] | None:
    """Return how training ended and which average is the final model; None where it is the last one, as planned."""
    if not stop.reason:
        return None
    return {"rounds": stop.rounds, "final": stop.final, "averaged": stop.averaged, "reason": stop.reason}


def with_rates(run: Run, plan: Plan, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a history with each round's learning rate, where a rule lowers it."""
    rates = steering.rates(run, plan, len(rows))
    return [{**row, "learning_rate": rate} for row, rate in zip(rows, rates, strict=True)] if rates else rows


def activations(waves: Sequence[Wave], splitters: int, warmed: int) -> int:
    """Return how many activations it took: planner, splitters, a reducer a wave and a last one, trainers, evaluator.

    `warmed` trainers were started once more, by the warm-up.
    """
    return 1 + splitters + warmed + len(waves) + 1 + sum(len(wave.slices) for wave in waves) + 1


def gb_seconds(measured: Sequence[tuple[float, int]], small: float) -> float:
    """Estimate GB-seconds: of actions that measured their seconds and bytes, and of `small` seconds of others."""
    return float(round(sum(seconds * memory for seconds, memory in measured) / GB + small * SMALL_GB, 3))


def warnings(plan: Plan, waves: Sequence[Wave]) -> list[str]:
    """Return what a user should know of the waves: where memory changed the arithmetic, or the trainer."""
    pieces = [piece for wave in waves for piece in wave.slices]
    halved = [piece.micro for piece in pieces if piece.micro and piece.micro != plan.trainer.micro]
    moved = [piece for piece in pieces if piece.trainer]
    said = [f"{len(moved)} slices went to {plan.trainer.largest}"] if moved else []
    if halved:
        said.append(
            f"{len(halved)} slices trained in micro-batches of {min(halved)} or more examples; with batch norm or "
            "dropout the weights are not those of whole batches"
        )
    return [f"{shortage(pieces)}: {', '.join(said)}"] if said else []


def shortage(pieces: Sequence[Slice]) -> str:
    """Return why slices became smaller: OpenWhisk does not always say that memory was it."""
    reasons = [piece.reason for piece in pieces if piece.reason and ledger.lacks_memory(piece.reason)]
    if any(word in reason for reason in reasons for word in ledger.MEMORY):
        return "memory was short, in fresh containers too"
    return f"trainers were killed twice at the same steps, maybe for lack of memory ({'; '.join(sorted(set(reasons)))})"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV; columns are the first row's."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def page(result: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return a self-contained HTML page."""
    facts = {name: value for name, value in result.items() if name != "rounds"}
    rows = result["rounds"]
    head = "".join(f"<th>{shown(name)}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{shown(cell)}</td>" for cell in row.values()) + "</tr>" for row in rows)
    return PAGE.substitute(
        run=shown(result["run"]),
        facts=pairs(facts),
        parameters=pairs(parameters),
        rounds=f"<tr>{head}</tr>{body}",
        points=curve([row["loss"] for row in rows]),
        width=WIDTH,
        height=HEIGHT,
    )


def pairs(values: Mapping[str, Any]) -> str:
    """Return table rows of names and values."""
    return "".join(f"<tr><th>{shown(name)}</th><td>{shown(value)}</td></tr>" for name, value in values.items())


def shown(value: Any) -> str:
    """Return a value as escaped text."""
    text = f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    return html.escape(text)


def curve(values: Sequence[float]) -> str:
    """Return the points of a line from left to right, the least value at the bottom."""
    low, high = min(values), max(values)
    step, scale = WIDTH / max(1, len(values) - 1), (HEIGHT - 20) / ((high - low) or 1.0)
    return " ".join(f"{i * step:.1f},{HEIGHT - 10 - (value - low) * scale:.1f}" for i, value in enumerate(values))
