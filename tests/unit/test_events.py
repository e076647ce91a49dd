"""runtime/events: the relay as a process, between a real S3 server and a host that answers as it is told to."""

import asyncio
import base64
import http.client
import json
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

import services
from events import bucket, relay
from events.bucket import Upload
from events.inbox import concerns
from events.memory import Memory
from events.settings import Settings, SettingsError
from events.trigger import Trigger
from services import Bucket

PASSWORD, KEY, SECRET = "webhook-password", "namespace-uuid:namespace-key", "secret-key-of-the-store"
CREATED = "s3:ObjectCreated:Put"
DONE = {"statusCode": 0, "success": True, "rule": "guest/r", "action": "guest/a", "activationId": "b" * 32}
THROTTLED = {"statusCode": 1, "success": False, "rule": "guest/r", "action": "guest/a", "error": "Too many requests"}


class Host(ThreadingHTTPServer):
    """Stands for OpenWhisk where it fails: answers each fire with the next of `faults`, without one as it should."""

    daemon_threads = True

    def __init__(self):
        super().__init__((services.HOST, 0), Handler)
        self.faults, self.fires, self.records = [], [], {}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.fires.append((self.path, self.headers["Authorization"], event))
        fault = self.server.faults.pop(0) if self.server.faults else DONE
        if fault is None:
            self.connection.close()
        elif isinstance(fault, int):
            self.answer(fault, {"error": "no", "code": "x"})
        else:
            activation = f"{len(self.server.fires):032x}"
            self.server.records[activation] = {"logs": [json.dumps(fault)]}
            self.answer(202, {"activationId": activation})

    def do_GET(self):
        record = self.server.records.get(self.path.rpartition("/")[2])
        self.answer(200 if record else 404, record or {"error": "no", "code": "x"})

    def answer(self, status, document):
        body = b"" if status == 204 else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class Chain:
    """An S3 server, the relay, and the host."""

    def __init__(self, folder, host):
        self.folder, self.host = folder, host
        self.port = services.free_port()
        self.bucket = Bucket(
            f"http://{services.HOST}:{services.free_port()}", "us-east-1", "uploads", "access-key", SECRET
        )
        self.environment = {
            "APIHOST": f"http://{services.HOST}:{host.server_port}",
            "AUTH": KEY,
            "EVENTS_URL": f"http://s3:{PASSWORD}@{services.HOST}:{self.port}/",
            "S3_ENDPOINT": self.bucket.endpoint,
            "S3_REGION": self.bucket.region,
            "S3_BUCKET": self.bucket.bucket,
            "S3_ACCESS_KEY": self.bucket.access_key,
            "S3_SECRET_KEY": self.bucket.secret_key,
        }
        self.start()
        port = int(self.bucket.endpoint.rpartition(":")[2])
        self.s3 = services.start_s3(folder / "s3", port, self.bucket, self.environment["EVENTS_URL"])

    def start(self):
        self.relay = services.start_relay(self.folder / "relay", self.environment)

    def stop(self):
        self.bucket.client.close()
        for service in (self.relay, self.s3):
            service.process.stop(patience=5)

    def put(self, key, body=b"{}"):
        return self.bucket.client.put_object(Bucket=self.bucket.bucket, Key=key, Body=body)["ETag"].strip('"')

    def fired(self):
        """Return (key, etag) of each fire."""
        held = [event["Records"][0]["s3"]["object"] for _, _, event in self.host.fires]
        return [(item["key"], item["eTag"]) for item in held]

    def ask(self, method="POST", path="/", body="{}", credentials=f"s3:{PASSWORD}", scheme="Basic"):
        """Send the relay a request; return its status and body."""
        connection = http.client.HTTPConnection(services.HOST, self.port, timeout=10)
        headers = (
            {"Authorization": f"{scheme} {base64.b64encode(credentials.encode()).decode()}"} if credentials else {}
        )
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = (answer.status, answer.read())
        connection.close()
        return found


@pytest.fixture
def host():
    server = Host()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def chain(tmp_path, host):
    made = Chain(tmp_path, host)
    yield made
    made.stop()


def wait(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_an_upload_fires_the_trigger_once_with_its_event(chain):
    etag = chain.put("datasets/Größe +1/train.json", b'{"workers": 2}')
    wait(lambda: chain.host.fires)
    time.sleep(1)
    [(path, authorization, event)] = chain.host.fires
    assert path == "/api/v1/namespaces/_/triggers/dataset-uploaded"
    assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == KEY
    record = event["Records"][0]
    assert record.pop("eventTime").startswith("20")
    assert event == {
        "Records": [
            {
                "eventName": CREATED,
                "s3": {
                    "bucket": {"name": "uploads"},
                    "object": {"key": "datasets/Gr%C3%B6%C3%9Fe+%2B1/train.json", "size": 14, "eTag": etag},
                },
            }
        ]
    }


def test_seventy_other_objects_fire_nothing(chain):
    for number in range(67):
        chain.put(f"runs/a/rounds/{number}/train.json")
    for key in ("datasets/a/data.npz", "datasets/a/b/train.json", "datasets/train.json"):
        chain.put(key)
    first = chain.put("datasets/gone/train.json")
    wait(lambda: chain.fired())
    chain.bucket.client.delete_object(Bucket="uploads", Key="datasets/gone/train.json")
    etag = chain.put("datasets/last/train.json", b"{ }")
    wait(lambda: len(chain.fired()) > 1)
    assert chain.fired() == [("datasets/gone/train.json", first), ("datasets/last/train.json", etag)]
    kept = chain.folder / "relay" / "passed-on.json"
    wait(lambda: list(json.loads(kept.read_text())) == ["datasets/last/train.json"])


def test_faults_are_survived_in_order(chain):
    chain.host.faults = [503, 429, 404, 204, None, THROTTLED]
    etags = {}
    for name in ("a", "b", "c"):
        etags[name] = chain.put(f"datasets/{name}/train.json", name.encode())
        wait(lambda: chain.host.fires)
    wait(lambda: len(chain.host.fires) == 9, seconds=60)
    expected = [(f"datasets/{name}/train.json", etags[name]) for name in "aaaaaaabc"]
    assert chain.fired() == expected
    said = (chain.folder / "relay" / "relay.log").read_text()
    assert "trigger dataset-uploaded: got 429, expected 202; again in" in said
    assert "got 'Too many requests' from its rule, expected an activation; again in" in said


def test_what_came_while_it_was_down_is_passed_on_when_it_is_back_and_nothing_twice(chain):
    first = chain.put("datasets/first/train.json", b"1")
    wait(lambda: chain.fired() and "passed on" in (chain.folder / "relay" / "relay.log").read_text())
    chain.relay.process.kill()
    missed = chain.put("datasets/missed/train.json", b"2")
    chain.start()
    wait(lambda: len(chain.fired()) > 1)
    time.sleep(0.5)
    assert chain.fired() == [("datasets/first/train.json", first), ("datasets/missed/train.json", missed)]
    time.sleep(1)  # S3 servers tell times of whole seconds
    chain.put("datasets/first/train.json", b"1")
    wait(lambda: len(chain.fired()) > 2)
    assert chain.fired()[2:] == [("datasets/first/train.json", first)]


def test_a_store_that_comes_late_is_waited_for(chain):
    chain.s3.process.stop(patience=5)
    chain.relay.process.stop(patience=5)
    chain.start()
    time.sleep(1)
    port = int(chain.bucket.endpoint.rpartition(":")[2])
    chain.s3 = services.start_s3(chain.folder / "s3", port, chain.bucket)
    etag = chain.put("datasets/late/train.json")
    # a pause may be 30 s, and what comes before the relay can be told is found at its next look, after 60 s
    wait(lambda: chain.fired() == [("datasets/late/train.json", etag)], seconds=100)


def test_an_upload_that_nobody_told_of_is_found_at_the_next_look(s3, host, tmp_path, monkeypatch):
    monkeypatch.setattr(relay, "LOOK_SECONDS", 0.1)
    address = f"http://{services.HOST}:{host.server_port}"
    settings = Settings("", 0, "", tmp_path, address, KEY, *s3.params.values())

    async def found():
        async with aiohttp.ClientSession() as client:
            memory = Memory(tmp_path / "passed-on.json")
            looking = asyncio.create_task(relay.Relay(bucket.Bucket(settings), memory, Trigger(settings, client)).run())
            for key in ("datasets/before/train.json", "datasets/untold/train.json"):  # the second after the first look
                s3.client.put_object(Bucket=s3.bucket, Key=key, Body=b"{}")
                await asyncio.to_thread(wait, lambda key=key: key in fired())
            looking.cancel()

    def fired():
        return [event["Records"][0]["s3"]["object"]["key"] for _, _, event in host.fires]

    asyncio.run(found())
    assert fired()[-1] == "datasets/untold/train.json"


def test_whoever_lacks_the_password_is_refused_whatever_they_ask(chain):
    for changes in (
        {"credentials": ""},
        {"credentials": "s3:wrong"},
        {"credentials": f"other:{PASSWORD}"},
        {"credentials": PASSWORD},
        {"scheme": "Bearer"},
        {"credentials": "", "method": "GET"},
        {"credentials": "", "path": "/other"},
    ):
        assert chain.ask(**changes)[0] == 401
    assert chain.ask() == (204, b"")
    assert chain.ask(body='{"Service": "S3", "Event": "s3:TestEvent"}') == (204, b"")
    assert chain.ask(body="no JSON") == (400, b"expected an S3 event, in JSON")
    assert chain.ask(body=" " * (1 << 20) + "{}") == (413, b"expected an S3 event")
    assert (chain.ask(method="GET")[0], chain.ask(path="/other")[0]) == (405, 404)
    assert chain.host.fires == []


def test_secrets_stand_in_no_log_and_no_argument(chain):
    chain.host.faults = [503]
    chain.put("datasets/a/train.json")
    wait(lambda: len(chain.host.fires) == 2)
    chain.s3.process.stop(patience=5)
    chain.ask(body=json.dumps(event()))
    log = chain.folder / "relay" / "relay.log"
    wait(lambda: "Could not connect to the endpoint" in log.read_text())
    command = Path(f"/proc/{chain.relay.process.pid}/cmdline").read_text()
    for secret in (PASSWORD, KEY, KEY.partition(":")[2], SECRET):
        assert secret not in log.read_text() + command
    private = [log, chain.folder / "relay" / "passed-on.json"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600, 0o600]


def event(name=CREATED, bucket="uploads", key="datasets/a/train.json"):
    return {"Records": [{"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (event(), True),
        (event(key="datasets%2Fa%2Ftrain.json"), True),
        (event(key="datasets/50%/train.json"), True),
        (event(name="ObjectCreated:CompleteMultipartUpload"), True),
        ({"Records": [*event(key="x")["Records"], *event()["Records"]]}, True),
        (event(bucket="other"), False),
        (event(key="datasets/a/b/train.json"), False),
        (event(key="datasets/a/data.npz"), False),
        (event(name="s3:ObjectRemoved:Delete"), False),
        (event(key=None), False),
        ({"Records": [None]}, False),
        ({"Records": {}}, False),
        ([], False),
    ],
)
def test_events_of_uploads_alone_ring(given, expected):
    assert concerns(given, "uploads") is expected


def test_memory_holds_versions_of_what_lies_there(tmp_path):
    path = tmp_path / "passed-on.json"
    a = Upload("datasets/a/train.json", "1", "2026-11-23T13:00:00+00:00", 1)
    again = Upload("datasets/a/train.json", "1", "2026-11-23T13:00:01+00:00", 1)
    b = Upload("datasets/b/train.json", "1", "2026-11-23T13:00:00+00:00", 1)
    memory = Memory(path)
    memory.add(a)
    memory.add(b)
    assert [Memory(path).holds(upload) for upload in (a, again, b)] == [True, False, True]
    memory.add(again)
    memory.forget_others([again])
    assert [Memory(path).holds(upload) for upload in (a, again, b)] == [False, True, False]
    assert [entry.name for entry in tmp_path.iterdir()] == ["passed-on.json"]


def test_settings_that_lack_or_do_not_fit_are_named(tmp_path):
    given = dict.fromkeys(("APIHOST", "AUTH", "S3_ENDPOINT", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY"), "x")
    with pytest.raises(SettingsError, match="^not set: S3_SECRET_KEY, EVENTS_URL$"):
        Settings.of({**given, "EVENTS_STATE": str(tmp_path), "EVENTS_URL": ""})
    full = {**given, "S3_SECRET_KEY": "x", "EVENTS_STATE": str(tmp_path)}
    for url in ("https://a:b@127.0.0.1:1/", "http://127.0.0.1:1/", "http://a:@127.0.0.1:1/", "http://a:b@127.0.0.1/"):
        with pytest.raises(SettingsError, match=r"^EVENTS_URL: got something else, expected http://user:password@"):
            Settings.of({**full, "EVENTS_URL": url})
    held = Settings.of({**full, "EVENTS_URL": "http://a%40:b%3A@127.0.0.1:80/"})
    assert (held.credentials, held.host, held.port, held.api) == ("a@:b:", "127.0.0.1", 80, "https://x")
