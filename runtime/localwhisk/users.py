"""Spare users: where root starts it, each container is a user of its own, who owns nothing but its folder."""

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

FIRST = 0x7000_0000  # from here on systemd's table of user ids calls them unused; a container's is this plus its port
PROBE = 'cd "$1" && test -r "$2" && exec "$3" --version'
ENTER = 0o711  # whoever knows a name inside may go there; nobody lists it


@dataclass(frozen=True)
class Users:
    """How a container becomes a user of its own."""

    program: str  # setpriv, of util-linux

    def command(self, port: int, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command under the user of the container that has this port."""
        user = str(FIRST + port)
        return (self.program, f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", *command)

    def give(self, folder: Path, port: int) -> None:
        """What a container may write becomes its own; its logs, and what is noted about it, do not."""
        folder.chmod(ENTER)
        for name in ("root", "tmp"):
            os.chown(folder / name, FIRST + port, FIRST + port)


def detect(containers: Path, commands: list[tuple[str, ...]]) -> Users | str:
    """Spare users if these commands can run as one in that folder, else why all containers share one user."""
    if os.geteuid() != 0:
        return "only root may start others"
    program = shutil.which("setpriv")
    if program is None:
        return "setpriv is not on PATH"
    users = Users(program)
    for folder in (containers.parent, containers):
        folder.chmod(ENTER)
    for command in commands:
        if not _works(users, containers, command):
            obstacle = _obstacle(containers, Path(command[0]).resolve(), *map(Path, command[1:]))
            for folder in (containers.parent, containers):
                folder.chmod(0o700)
            return obstacle
    return users


def _works(users: Users, folder: Path, command: tuple[str, ...]) -> bool:
    shell = users.command(0, ("/bin/sh", "-c", PROBE, "sh", str(folder), command[-1], command[0]))
    return subprocess.run(shell, capture_output=True, check=False).returncode == 0


def _obstacle(*paths: Path) -> str:
    """The first folder on the way to one of the paths that others may not enter."""
    for path in paths:
        for folder in reversed(path.parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                return f"{folder} is closed to others"
    return "other users may not run it"
