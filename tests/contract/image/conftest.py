"""Fixtures of the images' tests: the images, built, and containers of them or of their proxies.

CONTAINER_IMAGE names an image of Docker's; test_image.py sets it to run test_container.py and test_proxy.py again
inside that image.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import images

from .containers import IMAGE, ROOT, Container, Docker, started

BUILD_SECONDS = 1800


@pytest.fixture(scope="session")
def built() -> dict[str, str]:
    """Build both images and give their names by target, or skip where no Docker engine answers."""
    if shutil.which("docker") is None:
        pytest.skip("no Docker engine: docker is not on PATH")
    if subprocess.run(["docker", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")
    names = {target: image for image, (target, _) in images.STANDS_FOR.items()}
    for target, name in names.items():
        command = ["docker", "build", "--target", target, "--tag", name, str(ROOT / "runtime/image")]
        build = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        assert build.returncode == 0, build.stdout + build.stderr
    return names


@pytest.fixture
def contained() -> Iterator[Callable[..., Docker]]:
    """Start a container of an image as OpenWhisk limits it; all are gone after the test."""
    containers: list[Docker] = []

    def start_one(image: str, memory: int = 512, **environment: str) -> Docker:
        limits = [f"--memory={memory}m", f"--memory-swap={memory}m", "--cpus=1", "--pids-limit=1024"]
        containers.append(Docker(image, environment, *limits, "--cap-drop=NET_RAW", "--ulimit=nofile=1024:1024"))
        return containers[-1]

    yield start_one
    for container in containers:
        container.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """Start a container of a kind, with further environment; all are gone after the test."""
    containers: list[Container] = []

    def start_one(kind: str, **environment: str) -> Container:
        if IMAGE and kind != "python":
            pytest.skip(f"{IMAGE} has no {kind}")
        folder = tmp_path / str(len(containers))
        folder.mkdir()
        for module in tmp_path.glob("*.py"):
            shutil.copy(module, folder)
        containers.append(started(kind, folder, environment))
        return containers[-1]

    yield start_one
    for container in containers:
        container.close()


@pytest.fixture
def initialized(start: Callable[..., Container]) -> Callable[..., Container]:
    """Start a container of a kind and give it code, with further fields of /init's value."""

    def initialize(kind: str, code: str, environment: dict[str, str] | None = None, **value: object) -> Container:
        container = start(kind, **(environment or {}))
        request = {"name": "a", "main": "main", "binary": False, "code": code, **value}
        assert container.post("/init", {"value": request}).status == 200, container.outputs()
        return container

    return initialize
