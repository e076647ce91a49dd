"""The HTTP server inside an action container: POST /init once, then POST /run, one request at a time.

First process of the images dl-python and dl-tensorflow; localwhisk runs the same file as a container's process.
Standard library only. It listens on port 8080, where OpenWhisk posts to. Environment: OW_SOCKET (descriptor of a
socket to listen on instead), OW_PRELOAD (modules to import at start).
"""

import base64
import gc
import importlib
import io
import json
import os
import signal
import socket
import socketserver
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

NO_BINARY = "The action failed to generate or locate a binary. See logs for details."
SENTINEL = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"


class RequestError(Exception):
    """A request that is answered with a status other than 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Container:
    """One action: its main function once /init has come, and whether it has ended the process."""

    root = Path("action").absolute()
    preload_failure: str | None = None
    inits = 0
    main: Callable[[Any], Any] | None = None
    ended = False

    def init(self, request: dict[str, Any]) -> bytes:
        if self.main is not None:
            error = RequestError(403, "Cannot initialize the action more than once.")
            print(time.strftime("%Y/%m/%d %H:%M:%S"), error, file=sys.stderr)
            raise error
        value = request.get("value") or {}
        if not value.get("code"):
            raise RequestError(403, "Missing main/no code to execute.")
        try:
            if self.preload_failure is not None:
                print(self.preload_failure, file=sys.stderr)
                raise RequestError(502, self.preload_failure)
            set_environment("", value.get("env") or {})
            self.inits += 1
            folder = self.root / str(self.inits)
            unpack(value["code"], bool(value.get("binary")), folder)
            self.main = load(folder, value.get("main") or "main")
        except RequestError:
            write_sentinels()
            raise
        return b'{"ok": true}'

    def run(self, request: dict[str, Any]) -> bytes:
        if self.main is None:
            raise RequestError(500, "no action defined yet")
        set_environment("__OW_", {key.upper(): item for key, item in request.items() if key != "value"})
        try:
            body = json.dumps(call(self.main, request.get("value", {})), ensure_ascii=False).encode()
        except BaseException as error:  # the stock launcher dies of all that is not an Exception of main()
            self.ended = True
            if not isinstance(error, SystemExit):
                traceback.print_exc()
            raise RequestError(400, "command exited") from error
        finally:
            write_sentinels()
        self.ended = bool(getattr(sys.modules["main__"], "ENDED", False))  # an action may make this answer its last
        constants: list[str] = []  # NaN and Infinity, which OpenWhisk cannot read
        if not isinstance(json.loads(body, parse_constant=constants.append), dict | list | None) or constants:
            raise RequestError(502, "The action did not return a dictionary or array.")
        return body + b"\n"  # as the stock launcher's line, whose length is what OpenWhisk limits and records


def set_environment(prefix: str, variables: dict[str, Any]) -> None:
    for name, value in variables.items():
        os.environ[prefix + name] = value if isinstance(value, str) else json.dumps(value)


def unpack(code: str, binary: bool, folder: Path) -> None:
    """Leave the action's code in folder, its entry as main__.py: `__main__` is this program's own name."""
    folder.mkdir(parents=True)
    entry = folder / "main__.py"
    try:
        data = base64.b64decode(code, validate=True) if binary else code.encode()
        if zipfile.is_zipfile(io.BytesIO(data)):
            zipfile.ZipFile(io.BytesIO(data)).extractall(folder)
        else:
            entry.write_bytes(data)
        if (folder / "__main__.py").exists():
            (folder / "__main__.py").rename(entry)
        if not entry.exists():
            raise ValueError("Zip file does not include main__\n")
        compile(entry.read_bytes(), str(entry), "exec")
    except (SyntaxError, ValueError, zipfile.BadZipFile) as error:
        print(error.msg if isinstance(error, SyntaxError) else error, file=sys.stderr)
        raise RequestError(502, NO_BINARY) from error


def load(folder: Path, name: str) -> Callable[[Any], Any]:
    """Import the entry and find its main function."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    if (folder / "virtualenv").is_dir():
        activate(folder / "virtualenv")
    sys.modules.pop("main__", None)  # left by an earlier /init that failed
    try:
        module = importlib.import_module("main__")
        if not hasattr(module, name):
            raise ImportError(f"cannot import name {name!r} from 'main__' ({module.__file__})")
        main: Callable[[Any], Any] = getattr(module, name)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        print("Command exited abruptly during initialization.", file=sys.stderr)
        raise RequestError(502, "Cannot start action. Check logs for details.") from error
    return main


def activate(environment: Path) -> None:
    """Put the packages of the zip's own virtual environment before all others, as the stock launcher does."""
    programs = [environment / folder / "activate_this.py" for folder in ("bin", "Scripts")]
    program = next((path for path in programs if path.exists()), None)
    try:
        if program is None:
            raise FileNotFoundError("Invalid virtualenv. Zip file does not include 'activate_this.py'.")
        exec(compile(program.read_bytes(), program, "exec"), {"__file__": str(program)})
    except Exception as error:
        print(error if program is None else traceback.format_exc(limit=0), file=sys.stderr)
        raise RequestError(502, NO_BINARY) from error


def call(main: Callable[[Any], Any], value: Any) -> Any:
    try:
        return main(value)
    except Exception as error:  # noqa: BLE001 (whatever it raises)
        print(traceback.format_exc(), file=sys.stderr)
        return {"error": str(error)}


def write_sentinels() -> None:
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        os.write(descriptor, SENTINEL)  # not by the stream, which the action may have replaced


def parse(text: bytes) -> dict[str, Any]:
    try:
        request = json.loads(text)
        if not isinstance(request, dict):
            raise ValueError(f"got {type(request).__name__}, expected an object")
    except ValueError as error:
        at_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc)
        cause = "unexpected end of JSON input" if at_end else error
        raise RequestError(400, f"Error unmarshaling request: {cause}") from error
    return request


class Handler(BaseHTTPRequestHandler):
    """Answers one request and closes the connection; what is sent meanwhile waits in the backlog."""

    container = Container()
    protocol_version = "HTTP/1.1"
    timeout = 60  # a client that stops sending must not hold the only thread for ever

    def do_POST(self) -> None:
        answers = {"/init": self.container.init, "/run": self.container.run}
        status = 200
        try:
            if self.path not in answers:
                raise RequestError(404, f"path: got {self.path}, expected /init or /run")
            body = answers[self.path](parse(self.rfile.read(int(self.headers.get("Content-Length", 0)))))
        except RequestError as error:
            status, body = error.status, json.dumps({"error": str(error)}).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Write nothing: the container's output belongs to the action."""


def preload(modules: list[str]) -> str | None:
    """Import modules before an action needs them; say which one failed, if any."""
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:  # what C code prints here would stand in the first activation's log
        os.dup2(nowhere.fileno(), 2)
    failure = None
    gc.disable()
    try:
        for module in modules:
            importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 (whatever it raises)
        failure = f"OW_PRELOAD: got {module} ({type(error).__name__}: {error}), expected a module that imports"
    gc.freeze()  # modules stay: TensorFlow's 300 000 objects need no search for garbage, of 0.15 s each
    gc.enable()
    os.dup2(stderr, 2)
    os.close(stderr)
    return failure


def listen() -> socketserver.TCPServer:
    """A server on the socket that was handed over, else on OpenWhisk's port."""
    given = os.environ.pop("OW_SOCKET", None)
    socketserver.TCPServer.allow_reuse_address, socketserver.TCPServer.request_queue_size = True, 128
    server = socketserver.TCPServer(("0.0.0.0", 8080), Handler, bind_and_activate=given is None)
    if given is not None:
        server.socket.close()
        server.socket = socket.socket(fileno=int(given))
        server.socket.set_inheritable(False)  # not to what the action starts
    return server


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # the kernel ignores it for a container's first process
    sys.path.remove(str(Path(__file__).resolve().parent))  # an action must not import this file as `proxy`
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    container = Handler.container
    with listen() as server:
        container.preload_failure = preload([name for name in os.environ.get("OW_PRELOAD", "").split(",") if name])
        while not container.ended:
            server.handle_request()
    os._exit(1)  # not sys.exit: a thread that the action left behind would keep the process


if __name__ == "__main__":
    main()
