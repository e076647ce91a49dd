"""All that the checkout needs, pinned and inside it; run by scripts/install on the standard library alone.

A part is installed when its lock files have changed since the last time; its stamp in .local/stamps remembers them.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
NODE_MAJOR, GO_VERSION = 20, (1, 25)


class MissingError(Exception):
    """A prerequisite that the machine lacks, in one sentence."""


@dataclass(frozen=True)
class Part:
    """One thing to install: what decides its content, what it leaves behind, and how it is made."""

    name: str
    locks: tuple[str, ...]
    result: str
    make: Callable[[], None]

    @property
    def stamp(self) -> Path:
        return LOCAL / "stamps" / self.name.replace("/", "-")

    def digest(self) -> str:
        """Sum up the lock files and the interpreter."""
        text = b"".join((ROOT / lock).read_bytes() for lock in self.locks)
        return hashlib.sha256(text + sys.version.encode()).hexdigest()

    def current(self) -> bool:
        """Tell whether what stands is what the lock files say."""
        return self.stamp.exists() and self.stamp.read_text() == self.digest() and (ROOT / self.result).exists()

    def install(self) -> None:
        """Make the part and remember from what; a line says how long it took."""
        print(f"install {self.name} ...", end=" ", flush=True)
        start = time.monotonic()
        self.stamp.unlink(missing_ok=True)
        self.make()
        self.stamp.parent.mkdir(parents=True, exist_ok=True)
        self.stamp.write_text(self.digest())
        print(f"{time.monotonic() - start:.0f} s", flush=True)


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a step; its output is shown only when it fails."""
    ran = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode:
        sys.exit(f"failed\n{ran.stdout}\nscripts/install: {' '.join(map(str, command))} ended with {ran.returncode}")


def virtual_environment(folder: str, requirements: str) -> Part:
    """Make a virtual environment from a hashed lock file alone."""

    def make() -> None:
        run(sys.executable, "-m", "venv", "--clear", ROOT / folder)
        pip = (ROOT / folder / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check")
        run(*pip, "--require-hashes", "--no-deps", "-r", requirements)

    return Part(folder, (requirements,), f"{folder}/bin/python", make)


def node_packages(folder: str) -> Part:
    """Install what a package-lock.json pins."""

    def make() -> None:
        run("npm", "ci", "--no-audit", "--no-fund", cwd=ROOT / folder)

    return Part(f"{folder}/node_modules", (f"{folder}/package-lock.json",), f"{folder}/node_modules", make)


def go_tool(name: str, package: str, version: str) -> Part:
    """Build a tool from its pinned Go module; `version` is what the program says of itself (a linker flag)."""
    module = f"tools/{name}"

    def make() -> None:
        flags = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w -X main.{version}")
        run("go", "build", *flags, "-o", LOCAL / "bin" / name, package, cwd=ROOT / module)

    return Part(name, (f"{module}/go.mod", f"{module}/go.sum"), f".local/bin/{name}", make)


PARTS = (
    virtual_environment(".venv-dl", "runtime/image/dl-python/requirements.txt"),
    virtual_environment(".venv-tensorflow", "runtime/image/dl-tensorflow/requirements.txt"),
    virtual_environment(".venv", "requirements.txt"),
    node_packages("compositions"),
    node_packages("runtime/localwhisk/node"),
    go_tool("wskdeploy", "github.com/apache/openwhisk-wskdeploy", "Version=1.2.0-16acc805"),
    go_tool("wsk", "github.com/sciabarracom/openwhisk-cli", "CLI_BUILD_TIME=1.2.1"),
    go_tool("versitygw", "github.com/versity/versitygw/cmd/versitygw", "Version=v1.8.0"),
)


def check_prerequisites() -> None:
    """Refuse a machine that lacks what cannot be installed into the checkout."""
    if not shutil.which("git"):
        raise MissingError("git is missing")
    if not shutil.which("npm"):
        raise MissingError(f"npm of Node {NODE_MAJOR} or newer is missing")
    _at_least("node", "--version", (NODE_MAJOR,), "Node")
    _at_least("go", "version", GO_VERSION, "Go")


def _at_least(program: str, flag: str, wanted: tuple[int, ...], name: str) -> None:
    expected = ".".join(map(str, wanted))
    if not shutil.which(program):
        raise MissingError(f"{name} {expected} or newer is missing (no {program} on PATH)")
    said = subprocess.run([program, flag], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if not found or (int(found[1]), int(found[2])) < wanted:
        raise MissingError(
            f"{name} {expected} or newer is missing ({program} is {said.strip() or 'of unknown version'})"
        )


def main() -> None:
    """Install what is not current, one process at a time."""
    if all(part.current() for part in PARTS):
        return
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            check_prerequisites()
        except MissingError as error:
            sys.exit(f"scripts/install: {error}")
        for part in PARTS:
            if not part.current():
                part.install()


if __name__ == "__main__":
    main()
