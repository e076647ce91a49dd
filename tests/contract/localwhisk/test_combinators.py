"""Each combinator of composer's documented list, compiled by composer, on localwhisk; par and map through Redis."""

import base64
import re
from pathlib import Path

import pytest

import zips

COMPOSITIONS = Path(__file__).parents[3] / "compositions"
FLAGS = ("--invocations-per-minute", "6000", "--concurrent", "100", "--user-memory", "4096")
ODD = "({ n }) => ({ value: n % 2 === 1 })"
CASES = [
    ("action", "composer.action('inc')", {"n": 1}, {"n": 2}),
    ("an action that fails", "composer.action('fail')", {}, {"error": "boom"}),
    ("function", "composer.function(({ x, y }) => ({ product: x * y }))", {"x": 6, "y": 7}, {"product": 42}),
    ("literal", "composer.literal({ message: 'Hello' })", {"n": 1}, {"message": "Hello"}),
    ("value", "composer.value([1, 2])", {}, {"value": [1, 2]}),
    ("sequence", "composer.sequence('inc', p => ({ n: p.n * 10 }), 'inc')", {"n": 1}, {"n": 21}),
    ("seq", "composer.seq('inc', 'fail', 'inc')", {"n": 1}, {"error": "boom"}),
    ("empty", "composer.empty()", {"n": 1}, {"n": 1}),
    ("task", "composer.task('inc')", {"n": 1}, {"n": 2}),
    ("let", "composer.let({ a: 1, b: 2 }, composer.let({ b: 3 }, 'inc', p => ({ sum: p.n + a + b })))", {"n": 1},
     {"sum": 6}),
    ("mask", "composer.let({ n: 42 }, composer.let({ n: 69 }, composer.mask(() => ({ n }))))", {}, {"n": 42}),
    ("if", f"composer.if({ODD}, 'inc', 'fail')", {"n": 1}, {"n": 2}),
    ("if, else", f"composer.if({ODD}, 'fail', 'inc')", {"n": 2}, {"n": 3}),
    ("if_nosave", "composer.if_nosave(p => ({ value: true, n: p.n * 10 }), 'inc')", {"n": 1}, {"n": 11}),
    ("while", "composer.while(({ n }) => ({ value: n < 5 }), 'inc')", {"n": 1}, {"n": 5}),
    ("while_nosave", "composer.while_nosave(({ n }) => ({ n, value: n < 3 }), ({ n }) => ({ n: n + 1 }))", {"n": 1},
     {"n": 3, "value": False}),
    ("dowhile", "composer.dowhile('inc', ({ n }) => ({ value: n < 5 }))", {"n": 9}, {"n": 10}),
    ("dowhile_nosave", "composer.dowhile_nosave('inc', ({ n }) => ({ n: n * 2, value: n < 5 }))", {"n": 1},
     {"n": 10, "value": False}),
    ("repeat", "composer.repeat(3, 'inc')", {"n": 1}, {"n": 4}),
    ("retry", "composer.let({ x: 2 }, composer.retry(3, () => x-- > 0 ? { error: 'no' } : 42))", {}, {"value": 42}),
    ("retry in vain", "composer.let({ x: 9 }, composer.retry(3, () => x-- > 0 ? { error: x } : 42))", {}, {"error": 5}),
    ("retain", "composer.retain('inc')", {"n": 3}, {"params": {"n": 3}, "result": {"n": 4}}),
    ("retain_catch", "composer.seq(composer.retain_catch('fail'), p => ({ kept: p.params, caught: p.result }))",
     {"n": 3}, {"kept": {"n": 3}, "caught": {"error": "boom"}}),
    ("merge", "composer.merge('inc')", {"n": 3, "k": 1}, {"n": 4, "k": 1}),
    ("try", "composer.try('fail', ({ error }) => ({ caught: error }))", {}, {"caught": "boom"}),
    ("try without need", "composer.try('inc', () => ({ caught: true }))", {"n": 1}, {"n": 2}),
    ("finally", "composer.finally('fail', p => ({ last: p }))", {}, {"last": {"error": "boom"}}),
    ("par", "composer.par('inc', composer.seq('inc', 'inc'), () => ({ x: 1 }))", {"n": 1},
     {"value": [{"n": 2}, {"n": 3}, {"x": 1}]}),
    ("parallel", "composer.parallel('inc', 'fail')", {"n": 1}, {"value": [{"n": 2}, {"error": "boom"}]}),
    ("map", "composer.map('inc')", {"value": [{"n": number} for number in range(8)]},
     {"value": [{"n": number + 1} for number in range(8)]}),
    ("map of nothing", "composer.map('inc')", {"value": []}, {"value": []}),
    ("map in map", "composer.map(composer.map('inc'))", {"value": [{"value": [{"n": 1}, {"n": 2}]}, {"value": []}]},
     {"value": [{"value": [{"n": 2}, {"n": 3}]}, {"value": []}]}),
    ("dynamic", "composer.dynamic()", {"type": "action", "name": "inc", "params": {"n": 1}}, {"n": 2}),
]  # fmt: skip


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder in which composer is at hand and what conductors need."""
    folder = tmp_path_factory.mktemp("compositions")
    for name in ("node_modules", "package-lock.json"):
        (folder / name).symlink_to(COMPOSITIONS / name)
    return folder


@pytest.fixture
def compose(host, redis, workshop):
    """Deploy a composition as this project deploys its own, beside the actions that the cases name."""

    def deploy(name, source):
        path = workshop / f"{re.sub(r'[^a-z_]', '-', name)}.js"
        path.write_text(f"const composer = require('openwhisk-composer')\nmodule.exports = {source}\n")
        code = zips.write(path.with_suffix(".zip"), zips.conductor(path)).read_bytes()
        execution = {"kind": "nodejs:20", "code": base64.b64encode(code).decode(), "binary": True}
        notes = [{"key": "conductor", "value": True}, {"key": "provide-api-key", "value": True}]
        parameters = [{"key": "$composer", "value": {"redis": {"uri": redis}}}]
        body = {"exec": execution, "annotations": notes, "parameters": parameters, "limits": {"logs": 0}}
        return host.put(f"actions/{path.stem}", body)["name"]

    host.action("inc", "def main(a): return {'n': a['n'] + 1}", logs=0, memory=128)
    host.action("fail", "def main(a): raise ValueError('boom')", logs=0, memory=128)
    yield deploy
    host.clean()


@pytest.mark.parametrize(("name", "source", "given", "expected"), CASES, ids=[case[0] for case in CASES])
def test_combinators(host, compose, name, source, given, expected):
    status, result = host.result(compose(name, source), given)
    assert result == expected
    assert status == (502 if "error" in expected else 200)


def test_async(host, compose):
    status, result = host.result(compose("async", "composer.async('inc', 'inc')"), {"n": 1})
    assert status == 200
    assert host.record(result["activationId"])["response"]["result"] == {"n": 3}


def test_every_combinator_of_the_list_has_a_case():
    listed = (COMPOSITIONS / "node_modules/openwhisk-composer/docs/COMBINATORS.md").read_text()
    rows = [line.split("|")[1] for line in listed.splitlines() if line.startswith("| [")]
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 20
    assert names - {"async"} <= {name for case in CASES for name in re.findall(r"composer\.(\w+)", case[1])}
