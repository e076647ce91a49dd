"""Lithops' own virtual environment, both its client and what stands for its image; used by benchmarks.lithops."""

import images
import installation

VERSION = "3.8.0"  # as requirements.in pins it
IMAGE = f"docker.io/openwhisk-dl/lithops:{VERSION}"  # Lithops writes the registry into the name where it lacks
FOLDER = ".local/bench/lithops-venv"
PRELOAD = "tensorflow,keras,numpy,boto3"  # each call is a fork, which would import them anew


def install() -> None:
    """Make the environment from its lock file, unless it stands."""
    installation.install([installation.virtual_environment(FOLDER, "benchmarks/lithops/requirements.txt")])


def program(name: str) -> str:
    """Return the path of a program in it."""
    return str(installation.ROOT / FOLDER / "bin" / name)


def image_flags() -> list[str]:
    """Return the flags that tell localwhisk of the image."""
    environment = images.environments()["dl-tensorflow"] | {"OW_PRELOAD": PRELOAD}
    file = images.write(installation.LOCAL / "bench" / "lithops.env", environment)
    return ["--image", f"{IMAGE}={installation.ROOT / FOLDER},{file}"]
