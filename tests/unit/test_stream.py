"""Reading on by one open request: ranges in and out of order, and a connection that breaks; on a real S3 server."""

import contextlib
import itertools
import socket
import threading

import numpy as np
import pytest

from common.errors import StoreError
from common.storage import stream
from common.storage.objects import PART_BYTES, Location, Objects
from common.storage.stream import Stream

BODY = np.random.default_rng(0).bytes(5 << 20)


@pytest.fixture
def objects(s3):
    """Give the store with BODY in it, and the list of byte ranges that are asked of it."""
    s3.client.put_object(Bucket=s3.bucket, Key="stream", Body=BODY)
    found, asked = Objects(s3.params), []
    ask = found.open
    found.open = lambda at, begin=0, end=None: asked.append((begin, end)) or ask(at, begin, end)
    return found, Location(s3.bucket, "stream"), asked


def test_what_follows_needs_one_request(objects):
    store, at, asked = objects
    reader = Stream(store, at)
    bounds = [0, 10, 10, 70_000, 3 << 20, len(BODY)]
    assert b"".join(reader.read(*pair) for pair in itertools.pairwise(bounds)) == BODY
    assert asked == [(0, None)]


def test_gaps_are_read_over_or_asked_anew_and_looks_back_keep_the_place(objects, monkeypatch):
    monkeypatch.setattr(stream, "SKIP_BYTES", 1000)
    store, at, asked = objects
    reader = Stream(store, at)
    for begin, end in ((5, 10), (1010, 1020), (2021, 2030), (3, 9), (2030, 2040)):
        assert reader.read(begin, end) == BODY[begin:end]
    assert asked == [(5, None), (2021, None), (3, 9)]
    assert reader.read(len(BODY) - 3, len(BODY) + 99) == BODY[-3:]


class Relay:
    """Passes connections on to a server; cuts so many of them after a megabyte of the answer."""

    def __init__(self, server, cuts):
        self.cuts, self.server = cuts, server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        try:
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()
        except OSError:
            self.listener.close()  # it was shut down

    def serve(self, client):
        left = 1 << 20 if self.cuts > 0 else None
        self.cuts -= 1
        with client, socket.create_connection(self.server) as server:
            asking = threading.Thread(target=self.pump, args=(client, server, None), daemon=True)
            asking.start()
            self.pump(server, client, left)
            asking.join()

    @staticmethod
    def pump(source, target, left):
        try:
            while (left is None or left > 0) and (data := source.recv(65536)):
                target.sendall(data)
                left = left and left - len(data)
        except OSError:
            pass  # the other direction was cut
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the other direction, which a close would not


@pytest.fixture
def relayed(s3):
    """Give a function: the store through a relay that cuts so many connections."""
    host, port = s3.endpoint.removeprefix("http://").split(":")
    relays, stores = [], []

    def make(cuts):
        relays.append(Relay((host, int(port)), cuts))
        stores.append(Objects({**s3.params, "endpoint": f"http://127.0.0.1:{relays[-1].port}"}))
        return stores[-1]

    yield make
    for store in stores:
        store.client.close()
    for relay in relays:
        relay.listener.shutdown(socket.SHUT_RDWR)
        relay.thread.join()


def test_a_broken_connection_is_taken_up_where_it_broke(objects, relayed):
    _, at, _ = objects
    reader = Stream(relayed(2), at)
    assert b"".join(reader.read(n, n + (1 << 18)) for n in range(0, len(BODY), 1 << 18)) == BODY


def test_a_connection_that_breaks_at_every_attempt_is_an_error(objects, relayed):
    _, at, _ = objects
    with pytest.raises(StoreError, match="s3://openwhisk-dl/stream: the object store does not answer"):
        Stream(relayed(9), at).read(0, len(BODY))


@pytest.mark.parametrize("sizes", [[], [5], [PART_BYTES], [PART_BYTES, PART_BYTES + 1, 7]])
def test_parts_arrive_in_their_order_and_are_written_once(s3, sizes):
    store, at = Objects(s3.params), Location(s3.bucket, f"parts-{len(sizes)}-{sum(sizes)}")
    parts = [np.random.default_rng(size).bytes(size) for size in sizes]
    assert store.create_from(at, iter(parts))
    assert store.read(at) == b"".join(parts)
    assert not store.create_from(at, iter([b"other"]))
    assert not store.create_from(at, iter([bytes(PART_BYTES), b"other"]))
    assert store.read(at) == b"".join(parts)
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=s3.bucket)
