"""Command line: `python -m localwhisk --state DIR ...`."""

import argparse
import os
import re
from pathlib import Path

import uvloop

from localwhisk.server import serve
from localwhisk.settings import ImageSource, Settings


def main() -> None:
    arguments = _parser().parse_args()
    values = {key: value for key, value in vars(arguments).items() if value is not None}
    values["images"] = dict(values.pop("image", []))
    os.umask(0o077)  # keys, and records with secrets in them, are the owner's alone
    uvloop.run(serve(Settings(**values)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localwhisk", description="A small Apache OpenWhisk on this machine.")
    parser.add_argument("--state", type=_absolute, required=True, metavar="DIR", help="everything it keeps")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, help="0: a free one")
    parser.add_argument("--user-memory", type=int, metavar="MB", help="of all containers together")
    parser.add_argument("--user-cpus", type=float, metavar="N", help="of all containers together; a hard limit")
    parser.add_argument("--runtimes", type=_file, metavar="FILE", help="in the format of OpenWhisk's runtimes.json")
    parser.add_argument("--image", type=_image, action="append", metavar="NAME=VENV[,FILE]")
    parser.add_argument("--invocations-per-minute", type=int, metavar="N")
    parser.add_argument("--concurrent", type=int, metavar="N", help="activations running or queued")
    parser.add_argument("--fires-per-minute", type=int, metavar="N", help="of triggers")
    parser.add_argument("--max-memory", type=int, metavar="MB", help="of an action")
    parser.add_argument("--max-timeout", type=int, metavar="MS", help="of an action")
    parser.add_argument("--sequence-length", type=int, metavar="N", help="also a composition's budget")
    return parser


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a file")
    return _absolute(text)


def _image(text: str) -> tuple[str, ImageSource]:
    name, _, source = text.partition("=")
    venv, _, file = source.partition(",")
    if not name or not (Path(venv) / "bin" / "python").exists():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=VENV[,FILE] with a python in VENV/bin")
    return name, ImageSource(Path(venv).absolute(), _environment(Path(file)) if file else {})


def _environment(file: Path) -> dict[str, str]:
    """Read what `docker run --env-file` reads: lines NAME=value, comments, empty lines."""
    if not file.is_file():
        raise argparse.ArgumentTypeError(f"got {str(file)!r}, expected a file of lines NAME=value")
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    bad = [line for line in lines if not re.match(r"[A-Za-z_]\w*=", line)]
    if bad:
        raise argparse.ArgumentTypeError(f"{file}: got {bad[0]!r}, expected NAME=value")
    return dict(line.split("=", 1) for line in lines)


if __name__ == "__main__":
    main()
