"""Presigned transfers against a real S3 server, and against a server that breaks off."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import TransferError
from common.storage import transfer
from common.storage.objects import Location, Objects

BODY = bytes(range(256)) * 9000


@pytest.fixture
def objects(s3) -> Iterator[Objects]:
    objects = Objects(s3.params)
    yield objects
    objects.client.close()


def test_round_trip_and_a_second_put_changes_nothing(objects, tmp_path):
    at = Location(objects.bucket, "transfer/a b/file")
    (tmp_path / "first").write_bytes(BODY)
    (tmp_path / "second").write_bytes(b"other")
    url = objects.presign_put(at)
    assert transfer.put(url, tmp_path / "first") is True
    assert transfer.put(url, tmp_path / "second") is False
    transfer.fetch(objects.presign_get(at), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == BODY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "got", "second"]


def test_only_a_changed_object_is_downloaded_again(objects, tmp_path):
    at = Location(objects.bucket, "transfer/changing")
    objects.create(at, b"one")
    etag = transfer.fetch(objects.presign_get(at), tmp_path / "file")
    (tmp_path / "file").write_bytes(b"mark")
    assert transfer.fetch(objects.presign_get(at), tmp_path / "file", etag) == etag
    assert (tmp_path / "file").read_bytes() == b"mark"
    objects.delete(at)
    objects.create(at, b"two")
    assert transfer.fetch(objects.presign_get(at), tmp_path / "file", etag) != etag
    assert (tmp_path / "file").read_bytes() == b"two"


class Killed(BaseException):
    """The process ends."""


class Dying:
    """A file whose process is killed half-way through the upload."""

    def __init__(self, path):
        self.stat, self.path = path.stat, path

    def open(self, mode):
        return Half(self.path.open(mode).detach())


class Half(io.BufferedReader):
    def read(self, size=-1):  # as uploads do; a digest is made by readinto
        if self.tell() > len(BODY) // 2:
            raise Killed
        return super().read(size)


def test_an_upload_that_is_cut_off_leaves_nothing(objects, tmp_path):
    at = Location(objects.bucket, "transfer/cut")
    (tmp_path / "file").write_bytes(BODY)
    url = objects.presign_put(at)
    with pytest.raises(Killed):
        transfer.put(url, Dying(tmp_path / "file"))
    end = time.monotonic() + 1  # the server sees the broken connection a moment later
    while time.monotonic() < end:
        assert objects.find(at) is None
    assert transfer.put(url, tmp_path / "file") is True
    assert objects.find(at) == BODY


def test_states(objects):
    at = Location(objects.bucket, "transfer/state")
    tensors = {"a": np.arange(4.0), "b": np.array(3)}
    assert transfer.put_state(objects.presign_put(at), tensors, {"k": "v"}) is True
    assert transfer.put_state(objects.presign_put(at), {}, {}) is False
    got, metadata = transfer.fetch_state(objects.presign_get(at))
    assert {name: tensor.tolist() for name, tensor in got.items()} == {"a": [0, 1, 2, 3], "b": 3}
    assert metadata == {"k": "v"}


def test_refusals_name_the_object_and_never_the_signature(objects, s3, tmp_path):
    at = Location(objects.bucket, "transfer/none")
    shown = f"{s3.params['endpoint']}/{objects.bucket}/transfer/none"
    with pytest.raises(TransferError) as error:
        transfer.fetch(objects.presign_get(at), tmp_path / "file")
    assert str(error.value).startswith(f"GET {shown}: got status 404 NoSuchKey ")
    assert str(error.value).endswith(", expected 200")
    (tmp_path / "file").write_bytes(b"x")
    url = objects.presign_put(at)
    with pytest.raises(TransferError) as error:
        transfer.put(url[:-1] + ("0" if url[-1] != "0" else "1"), tmp_path / "file")
    assert str(error.value).startswith(f"PUT {shown}: got status 403 SignatureDoesNotMatch ")
    assert "Signature=" not in str(error.value)
    assert "X-Amz" not in str(error.value)


def test_a_presigned_put_without_its_signed_header_is_refused(objects):
    url = objects.presign_put(Location(objects.bucket, "transfer/plain"))
    assert transfer.POOL.request("PUT", url, body=b"x").status == 403


class Breaking(threading.Thread):
    """An HTTP server that gives its answers in turn, each on a connection of its own, closed afterwards."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__(daemon=True)
        self.answers = answers
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/k?X-Amz-Signature=secret"

    def run(self) -> None:
        for answer in self.answers:
            connection, _ = self.socket.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
        self.socket.close()


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwho"
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("answers", [(SHORT, WHOLE), (BUSY, WHOLE), (b"", WHOLE)], ids=["short", "busy", "closed"])
def test_a_broken_download_is_repeated(tmp_path: Path, answers):
    server = Breaking(*answers)
    server.start()
    transfer.fetch(server.url, tmp_path / "file")
    server.join(5)
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_a_download_that_always_breaks_is_an_error(tmp_path):
    server = Breaking(SHORT, SHORT, SHORT)
    server.start()
    with pytest.raises(TransferError) as error:
        transfer.fetch(server.url, tmp_path / "file")
    server.join(5)
    place = server.url.partition("?")[0]
    assert str(error.value) == f"GET {place}: ProtocolError (3 attempts)"
    assert not (tmp_path / "file").exists()


def test_an_unknown_length_is_refused(tmp_path):
    server = Breaking(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwho")
    server.start()
    with pytest.raises(TransferError, match="got 3 bytes, expected None"):
        transfer.fetch(server.url, tmp_path / "file")
    server.join(5)
