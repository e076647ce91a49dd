"""What no request may do: an unhandled exception, a hang, a crash, a way in without the key."""

import collections
import contextlib
import http.client
import json
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

REQUESTS, LANES = 10_000, 4
MEGABYTE = 1 << 20
JSON_TYPE = {"Content-Type": "application/json"}
OPEN = ("/", "/ping", "/api/v1", "/api/v1/", "/api/v1/api-docs")
WORDS = (
    "api", "v1", "namespaces", "_", "guest", "whisk.system", "actions", "packages", "triggers", "rules", "activations",
    "limits", "web", "default", "utils", "echo", "fuzz", "fuzz.json", "logs", "result", "0" * 32, "z" * 32, "..", "",
    "%00", "%2f", "%ff", "ä", "\u202e", "a" * 300, "{x}", "*", "' OR 1=1 --", "__proto__",
)  # fmt: skip
QUERIES = ("limit", "skip", "count", "docs", "name", "since", "upto", "blocking", "result", "timeout", "overwrite",
           "code", "force", "__ow_method", "%")  # fmt: skip
VALUES = ("true", "false", "0", "1", "-1", "99999999999999999999", "x", "", "%ff", "a/b", "1e9", "NaN", "'", "\u0660")
LEAVES = (None, True, 0, -1, 1e308, 10**30, "", "x", "\ud800", "\0", "python:3.11", "sequence", "blackbox",
          "/_/fuzz", "/guest/fuzz", "a" * 5000, [], {})  # fmt: skip
FIELDS = ("exec", "kind", "code", "binary", "main", "image", "components", "parameters", "annotations", "key", "value",
          "init", "limits", "timeout", "memory", "logs", "concurrency", "instances", "version", "publish", "binding",
          "namespace", "name", "trigger", "action", "status", "delAnnotations", "conductor", "feed")  # fmt: skip
TEXTS = (b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b'"\\ud800"', b"\xff\xfe", b"\0" * 100, b"1" * 5000,
         b'{"a":1}{"a":2}', b'{"exec":{"kind":"python:3.11","code":"\\ud83d"}}')  # fmt: skip
LINES = (b"GET", b"GET /\r\n\r\n", b"\0" * 64, b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
         b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
         b"POST /api/v1/namespaces/_/actions/fuzz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         b"PUT /api/v1/namespaces/_/actions/fuzz HTTP/1.1\r\nContent-Length: 9000\r\n\r\n{",
         b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
         b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # fmt: skip


@pytest.fixture(scope="module")
def host(tmp_path_factory, launch, write_runtimes):
    """A localwhisk whose log holds nothing but what it prints of itself."""
    folder = tmp_path_factory.mktemp("robust")
    flags = ("--runtimes", str(write_runtimes(folder / "runtimes.json")), "--invocations-per-minute", "1000000")
    running = launch(folder / "state", *flags, "--fires-per-minute", "1000000", log=folder / "log")
    for name in ("fuzz", "serves"):
        running.action(name, "def main(a): return a", {"web-export": True}, logs=0, memory=128)
    yield running
    assert running.stop() == 0
    check_log(running)


def check_log(host):
    log = Path(host.state.parent / "log").read_text(errors="replace")
    assert "Traceback" not in log, log[-5000:]
    assert "ERROR" not in log, log[-5000:]


def check_that_it_serves(host):
    assert host.process.poll() is None
    assert host.anonymous.get("/ping", timeout=5).text == "pong"
    assert host.result("serves", {"x": 1}) == (200, {"x": 1})


def tree(dice, depth=0):
    if depth > 4 or dice.random() < 0.3:
        return dice.choice(LEAVES)
    if dice.random() < 0.3:
        return [tree(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice(FIELDS): tree(dice, depth + 1) for _ in range(dice.randrange(6))}


def sensible(dice):
    """A body that is nearly right, so that what lies behind the first refusals is reached as well."""
    kind = dice.choice(("python:3.11", "nodejs:20", "sequence", "blackbox"))
    execution = {"kind": kind, "code": "def main(a): return a", "components": ["/_/fuzz"], "image": "none/such:1"}
    pair = {"key": "k", "value": tree(dice, 3), "init": dice.random() < 0.1}
    limits = {dice.choice(("timeout", "memory", "logs", "concurrency", "instances")): dice.choice(LEAVES)}
    binding = {"namespace": "_", "name": "pack"}
    body = {"exec": execution, "trigger": "/_/fuzz", "action": "/_/fuzz", "status": "active"}
    body |= {"parameters": [pair], "annotations": [pair], "limits": limits, "binding": binding, "version": "1.2.3"}
    body = {key: value for key, value in body.items() if dice.random() < 0.5}
    place = dice.choice((body, execution, pair, limits, binding))
    if dice.random() < 0.5:
        place[dice.choice((*place, dice.choice(FIELDS)))] = tree(dice, 3)
    return body


def path_of(dice):
    """Half of them lead somewhere, so that most refusals are about something else."""
    if dice.random() < 0.5:
        collection = dice.choice(("actions", "packages", "triggers", "rules", "activations"))
        name = dice.choice(("", "/fuzz", "/a", "/b c", "/pack", "/pack/a", "/missing", f"/{'0' * 32}"))
        path = f"/api/v1/namespaces/_/{collection}{quote(name)}"
    else:
        words = [dice.choice(WORDS) for _ in range(dice.randrange(7))]
        beginning = ["api", "v1", *dice.choice((["namespaces", "_"], ["web", "guest"]))] if dice.random() < 0.7 else []
        path = "/" + "/".join(word if "%" in word else quote(word) for word in [*beginning, *words])
    query = "&".join(f"{dice.choice(QUERIES)}={quote(dice.choice(VALUES), safe='%')}" for _ in range(dice.randrange(4)))
    return f"{path}?{query}" if query else path


def credentials(dice, key):
    """An Authorization header and whether it opens the door."""
    right = dice.random() < 0.6
    header = (
        key if right else dice.choice(("Basic ", "Basic !!!!", "Basic " + "QQ" * 900, "Bearer x", key[:-6], "\xff"))
    )
    return {"Authorization": header} if right or dice.random() < 0.8 else {}, right


def lane(host, seed):
    """Send a share of the requests; what came back that nobody without the key should get."""
    dice, address, leaks, seen = random.Random(seed), urlsplit(host.client.address), [], collections.Counter()
    key = host.client.get("/ping").request.headers["Authorization"]
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    for _ in range(REQUESTS // LANES):
        method = dice.choice(("GET", "PUT", "PUT", "PUT", "POST", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"))
        header, right = credentials(dice, key)
        path = path_of(dice)
        body = dice.choice((dice.choice(TEXTS), json.dumps(tree(dice)).encode(), json.dumps(sensible(dice)).encode()))
        kind = dice.choice(("application/json",) * 4 + ("text/plain", "\xff", "application/x-www-form-urlencoded"))
        try:
            connection.request(method, path, body, {**header, "Content-Type": kind})
            response = connection.getresponse()
            text = response.read()
        except (http.client.HTTPException, ConnectionError):  # refused before its body was read
            connection.close()
            continue
        seen[response.status] += 1
        assert response.status < 500 or b"activationId" in text or b'"error"' in text, (method, path, text[:500])
        public = urlsplit(path).path in OPEN or path.startswith("/api/v1/web/") or method == "OPTIONS"
        if not right and not public and response.status < 400:
            leaks.append((method, path, response.status))
    connection.close()
    assert {200, 400, 401, 404, 405, 415} <= set(seen), seen  # the dice reached what lies behind the door
    assert seen.total() > REQUESTS / LANES * 0.9, seen
    return leaks


def test_ten_thousand_random_requests(host):
    begin = time.monotonic()
    with ThreadPoolExecutor(LANES) as lanes:
        leaks = [leak for found in lanes.map(lambda seed: lane(host, seed), range(LANES)) for leak in found]
    assert leaks == []
    assert time.monotonic() - begin < 60
    check_that_it_serves(host)
    check_log(host)


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_requests_that_are_none(host, line):
    address = urlsplit(host.client.address)
    place = (address.hostname, address.port)
    with contextlib.suppress(OSError), socket.create_connection(place, timeout=1) as connection:
        connection.sendall(line)
        connection.recv(4096)
    check_that_it_serves(host)


def test_a_thousand_half_open_connections(host):
    address = urlsplit(host.client.address)
    beginnings = (
        b"",
        b"POST /api/v1/namespaces/_/actions/fuzz HT",
        b"PUT / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n{",
    )
    with contextlib.ExitStack() as open_ones:
        for number in range(1000):
            connection = open_ones.enter_context(socket.create_connection((address.hostname, address.port), timeout=10))
            connection.sendall(beginnings[number % len(beginnings)])
        begin = time.monotonic()
        check_that_it_serves(host)
        assert time.monotonic() - begin < 5
    check_that_it_serves(host)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("method", "path"), [("POST", "actions/fuzz"), ("PUT", "actions/bulk"), ("PUT", "triggers/t")])
def test_bodies_beyond_any_limit(host, method, path, chunked):
    size = 60 * MEGABYTE
    pieces = (b'"' + b"x" * MEGABYTE for _ in range(size // MEGABYTE))
    data = pieces if chunked else b"x" * size
    try:
        answer = host.client.request(method, f"/api/v1/namespaces/_/{path}", data=data, headers=JSON_TYPE)
        assert answer.status_code == 413
    except OSError:
        pass  # it hung up while the body was on its way
    check_that_it_serves(host)


@pytest.mark.parametrize(("size", "status"), [(50_000_000, 200), (50 * MEGABYTE, 413)])
def test_fifty_megabytes_of_code(host, size, status):
    body = {"exec": {"kind": "python:3.11", "code": "#" * size}}
    assert host.client.put("/api/v1/namespaces/_/actions/bulk?overwrite=true", json=body).status_code == status
    check_that_it_serves(host)


def test_a_wrong_key_opens_nothing(host):
    user, _, key = host.key.partition(":")
    wrong = [f"{user}:{key[:-1]}", f"{user}:{key}x", f"{user}:", f":{key}", f"{key}:{user}", f"{user.upper()}:{key}"]
    paths = ("actions", "actions/fuzz", "packages", "triggers", "rules", "activations", "limits")
    for credential in wrong:
        with host.client_as(credential) as client:
            got = [client.get(f"/api/v1/namespaces/_/{path}").status_code for path in paths]
            got += [client.delete("/api/v1/namespaces/_/actions/fuzz").status_code]
            got += [client.post("/api/v1/namespaces/_/actions/fuzz", json={}).status_code]
        assert set(got) == {401}
    check_that_it_serves(host)
