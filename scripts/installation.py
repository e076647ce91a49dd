"""All that the checkout needs, pinned and inside it; run by scripts/install on the standard library alone.

A part is installed when its lock files have changed since the last time; its stamp in .local/stamps remembers them.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from steps import FailedError, Steps, say, together

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
QUIETLY = ("--disable-pip-version-check", "--progress-bar", "off")
NODE_MAJOR, GO_VERSION = 20, (1, 25)


class MissingError(Exception):
    """A prerequisite that the machine lacks, in one sentence."""


@dataclass(frozen=True)
class Part:
    """One thing to install: what decides its content, what it leaves behind, and how it is made."""

    name: str
    locks: tuple[str, ...]
    result: str
    make: Callable[[Steps], None]

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

    def install(self, steps: Steps) -> None:
        """Make the part and remember from what."""
        self.stamp.unlink(missing_ok=True)
        self.make(steps)
        self.stamp.parent.mkdir(parents=True, exist_ok=True)
        self.stamp.write_text(self.digest())


def virtual_environment(folder: str, requirements: str) -> Part:
    """Make a virtual environment from a hashed lock file alone."""

    def make(steps: Steps) -> None:
        steps.run(sys.executable, "-m", "venv", "--clear", ROOT / folder, cwd=ROOT)
        pip = (ROOT / folder / "bin" / "python", "-m", "pip", "install", *QUIETLY)
        steps.run(*pip, "--require-hashes", "--no-deps", "-r", requirements, cwd=ROOT)

    return Part(folder, (requirements,), f"{folder}/bin/python", make)


def stock_environment() -> Part:
    """Make what OpenWhisk's own Python image holds; one package is source alone, and built where that can be."""
    folder = ROOT / "runtime" / "image" / "stock-python"
    listed = virtual_environment(".venv-stock", str(folder.relative_to(ROOT) / "requirements.txt"))

    def make(steps: Steps) -> None:
        listed.make(steps)
        if can_compile():
            pip = (ROOT / listed.name / "bin" / "python", "-m", "pip", "install", *QUIETLY)
            steps.run(*pip, "--require-hashes", "--no-deps", "--no-build-isolation", "-r", "source.txt", cwd=folder)
        else:
            say(f"{listed.name}: netifaces is left out, for it needs a C compiler and Python's headers")

    return replace(listed, locks=(*listed.locks, f"{folder.relative_to(ROOT)}/source.txt"), make=make)


def can_compile() -> bool:
    """Tell whether extensions in C can be built for this Python."""
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return headers.exists() and shutil.which("cc") is not None


def node_packages(folder: str) -> Part:
    """Install what a package-lock.json pins."""

    def make(steps: Steps) -> None:
        steps.run("npm", "ci", "--no-audit", "--no-fund", cwd=ROOT / folder)

    return Part(f"{folder}/node_modules", (f"{folder}/package-lock.json",), f"{folder}/node_modules", make)


def go_tool(name: str, package: str, version: str) -> Part:
    """Build a tool from its pinned Go module; `version` is what the program says of itself (a linker flag)."""
    module = f"tools/{name}"

    def make(steps: Steps) -> None:
        flags = ("-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w -X main.{version}")
        steps.run("go", "build", *flags, "-o", LOCAL / "bin" / name, package, cwd=ROOT / module)

    return Part(name, (f"{module}/go.mod", f"{module}/go.sum"), f".local/bin/{name}", make)


PARTS = (  # what takes longest first
    go_tool("versitygw", "github.com/versity/versitygw/cmd/versitygw", "Version=v1.8.0"),
    virtual_environment(".venv", "requirements.txt"),
    virtual_environment(".venv-tensorflow", "runtime/image/dl-tensorflow/requirements.txt"),
    virtual_environment(".venv-dl", "runtime/image/dl-python/requirements.txt"),
    stock_environment(),
    go_tool("wskdeploy", "github.com/apache/openwhisk-wskdeploy", "Version=1.2.0-16acc805"),
    go_tool("wsk", "github.com/sciabarracom/openwhisk-cli", "CLI_BUILD_TIME=1.2.1"),
    node_packages("compositions"),
    node_packages("runtime/localwhisk/node"),
)


def install(parts: Sequence[Part]) -> None:
    """Make what is not current, several parts at once: go compiles for minutes, in which pip and npm fetch."""
    works = [(part.name, part.install) for part in parts if not part.current()]
    if works:
        say(f"installing {', '.join(name for name, _ in works)}")
        together(works, (os.cpu_count() or 1) + 1)


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
            install(PARTS)
        except (MissingError, FailedError) as error:
            sys.exit(f"scripts/install: {error}")


if __name__ == "__main__":
    main()
