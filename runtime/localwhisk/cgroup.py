"""Memory and CPU limits by control groups, version 1 or 2, where this user may create them."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path

PIDS_LIMIT = 1024  # OpenWhisk's docker run --pids-limit
CPU_PERIOD_US = 100_000
MEGABYTE = 1_048_576


class Group:
    """One container's control group: a folder per controller (version 1) or a single one (version 2)."""

    def __init__(self, folders: list[Path], events: Path) -> None:
        self.folders = folders
        self._events = events

    def entrances(self) -> list[Path]:
        """Files to which a process writes its id to be limited."""
        return [folder / "cgroup.procs" for folder in self.folders]

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed one of its processes for memory."""
        match = re.search(r"^oom_kill (\d+)$", self._events.read_text(), re.MULTILINE)
        return match is not None and int(match[1]) > 0

    def remove(self) -> None:
        for folder in self.folders:
            remove_group(folder)


def remove_group(folder: Path) -> None:
    """Kill what still runs in the group, then remove it; the kernel needs a moment to empty it."""
    for _ in range(50):
        if not folder.exists():
            return
        for pid in _members(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.01)


def _members(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except FileNotFoundError:
        return []


class GroupsV1:
    """One hierarchy a controller, as mounted under /sys/fs/cgroup/<controller>."""

    name = "cgroup v1"

    def __init__(self, roots: dict[str, Path]) -> None:
        self._roots = roots

    def create(self, container: str, memory: int, shares: int, cpus: float | None) -> Group:
        folders = {controller: root / container for controller, root in self._roots.items()}
        for folder in folders.values():
            folder.mkdir()
        limit = folders["memory"] / "memory.limit_in_bytes"
        limit.write_text(str(memory * MEGABYTE))
        swap = folders["memory"] / "memory.memsw.limit_in_bytes"
        if swap.exists():
            swap.write_text(str(memory * MEGABYTE))
        (folders["cpu"] / "cpu.shares").write_text(str(shares))
        if cpus is not None:
            (folders["cpu"] / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
            (folders["cpu"] / "cpu.cfs_quota_us").write_text(str(max(1000, int(cpus * CPU_PERIOD_US))))
        (folders["pids"] / "pids.max").write_text(str(PIDS_LIMIT))
        return Group(list(folders.values()), folders["memory"] / "memory.oom_control")

    def close(self) -> None:
        for root in self._roots.values():
            remove_group(root)


class GroupsV2:
    """The unified hierarchy."""

    name = "cgroup v2"

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, container: str, memory: int, shares: int, cpus: float | None) -> Group:
        folder = self._root / container
        folder.mkdir()
        (folder / "memory.max").write_text(str(memory * MEGABYTE))
        swap = folder / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
        # the kernel's documented mapping of shares 2..262144 to weights 1..10000
        (folder / "cpu.weight").write_text(str(1 + (shares - 2) * 9999 // 262_142))
        if cpus is not None:
            (folder / "cpu.max").write_text(f"{max(1000, int(cpus * CPU_PERIOD_US))} {CPU_PERIOD_US}")
        (folder / "pids.max").write_text(str(PIDS_LIMIT))
        return Group([folder], folder / "memory.events")

    def close(self) -> None:
        remove_group(self._root)


def detect(mount: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> GroupsV1 | GroupsV2 | None:
    """The groups this process may create, or None."""
    try:
        return _detect_v2(mount, own) if (mount / "cgroup.controllers").exists() else _detect_v1(mount, own)
    except OSError:
        return None


def _detect_v1(mount: Path, own: Path) -> GroupsV1 | None:
    paths = _own_paths(own)
    roots: dict[str, Path] = {}
    for controller in ("memory", "cpu", "pids"):
        hierarchy = mount / controller
        if not hierarchy.is_dir():
            return None
        # a container may show its host's path, which does not exist inside it
        parent = hierarchy / paths.get(controller, "")
        roots[controller] = (parent if parent.is_dir() else hierarchy) / f"localwhisk-{os.getpid()}"
    for root in roots.values():
        root.mkdir(exist_ok=True)
    # all containers together weigh as much as one busy process a CPU, not as one process
    (roots["cpu"] / "cpu.shares").write_text(str(1024 * (os.cpu_count() or 1)))
    return GroupsV1(roots)


def _detect_v2(mount: Path, own: Path) -> GroupsV2 | None:
    parent = mount / _own_paths(own).get("", "")
    parent = parent if parent.is_dir() else mount
    root = parent / f"localwhisk-{os.getpid()}"
    wanted = "+memory +cpu +pids"
    root.mkdir(exist_ok=True)
    try:
        _enable(parent, root, wanted)
        (root / "cgroup.subtree_control").write_text(wanted)
    except OSError:
        remove_empty(root)
        return None
    return GroupsV2(root)


def _enable(parent: Path, root: Path, wanted: str) -> None:
    """Pass the controllers down; a group that has processes of its own cannot, so this one moves into a child."""
    try:
        (parent / "cgroup.subtree_control").write_text(wanted)
    except OSError:
        server = parent / f"{root.name}-server"
        server.mkdir(exist_ok=True)
        (server / "cgroup.procs").write_text(str(os.getpid()))
        (parent / "cgroup.subtree_control").write_text(wanted)


def remove_empty(root: Path) -> None:
    with contextlib.suppress(OSError):
        root.rmdir()


def _own_paths(own: Path) -> dict[str, str]:
    """Path of this process in each hierarchy, by controller; version 2 has the empty name."""
    paths: dict[str, str] = {}
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    return paths
