"""Package and deploy manifest.yaml by wskdeploy, onto the OpenWhisk that the env file names; run by scripts/deploy.

The env file is the local platform's, or one written by hand for an OpenWhisk, S3 and Redis of one's own (DL_ENV).
"""

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import click

import images
import plugins
import zips
from local_platform import DEFAULT_STATE, read_env
from services import ROOT, write_private

MANIFEST = ROOT / "manifest.yaml"
MADE_MANIFEST = ROOT / "manifest.made.yaml"  # beside the other, because its paths are relative to it
KINDS = {"DL_PYTHON_IMAGE": "python:3.11-dl", "DL_TENSORFLOW_IMAGE": "python:3.11-tensorflow"}
RUNTIMES = ROOT / ".local" / "runtimes.json"  # for the operator of the OpenWhisk
BIN = ROOT / ".local" / "bin"
OPTIONAL = {"DL_READS"}  # may be unset: an empty string
LARGE = "trainer-large: &large "  # how the manifest says the memory of the largest trainer, in MB
MEMORY = (512, 1 << 20)  # MB: of a stock OpenWhisk, and more than any has


class DeployError(Exception):
    """Why nothing was deployed, in one sentence."""


def deploy(environment: Mapping[str, str], kinds: bool) -> str:
    """Package, deploy and return what wskdeploy said; with `kinds`, by runtime kinds in place of image names."""
    zips.build_all(own=plugins.collect(plugins.named(environment.get("DL_PLUGINS", ""))))
    manifest = write_manifest(environment, kinds)
    check_set(environment, manifest)
    write_runtimes(environment)
    check_kinds(environment, manifest)
    return wskdeploy(environment, "-m", str(manifest))


def undeploy(environment: Mapping[str, str]) -> str:
    """Remove what the manifest names; wskdeploy reads its zips for that, too."""
    zips.build_all()
    check_set(environment, MANIFEST)
    return wskdeploy(environment, "undeploy", "-m", str(MANIFEST))


def write_manifest(environment: Mapping[str, str], kinds: bool) -> Path:
    """Return the manifest to deploy: one of its own where kinds are wanted or the largest trainer is another."""
    original = text = MANIFEST.read_text()
    for variable, kind in KINDS.items() if kinds else ():
        text = text.replace(f"docker: ${{{variable}}}", f"runtime: {kind}")
    if memory := environment.get("DL_TRAINER_MEMORY"):
        text = re.sub(f"{re.escape(LARGE)}[0-9]+", f"{LARGE}{trainer_memory(memory)}", text)
    if text == original:
        return MANIFEST
    new = MADE_MANIFEST.with_name(f"{MADE_MANIFEST.name}.{os.getpid()}")
    new.write_text(f"# made by scripts/deploy from {MANIFEST.name}; changes are lost\n{text}")
    return new.replace(MADE_MANIFEST)


def trainer_memory(text: str) -> int:
    """Return the memory of the largest trainer, in MB; what the platform allows it says itself."""
    if not text.isdecimal() or not MEMORY[0] <= int(text) <= MEMORY[1]:
        raise DeployError(f"DL_TRAINER_MEMORY: got {text}, expected MB, {MEMORY[0]} or more, as the platform allows")
    return int(text)


def write_runtimes(environment: Mapping[str, str]) -> None:
    """Write the kinds as OpenWhisk's runtimes.json has them, with the images that the env file names."""
    manifest = json.loads((images.FOLDER / "runtimes.json").read_text())
    named = {kind: environment[variable] for variable, kind in KINDS.items() if environment.get(variable)}
    for entry in manifest["runtimes"]["python"]:
        if entry["kind"] in named:
            entry["image"] = images.parts(named[entry["kind"]])
    RUNTIMES.parent.mkdir(parents=True, exist_ok=True)
    RUNTIMES.write_text(json.dumps(manifest, indent=2) + "\n")


def check_kinds(environment: Mapping[str, str], manifest: Path) -> None:
    """Refuse an OpenWhisk that does not answer, or lacks a kind: wskdeploy would speak of an invalid manifest."""
    host = environment["APIHOST"]
    try:
        with urllib.request.urlopen(host if "://" in host else f"https://{host}", timeout=30) as answer:
            families = json.load(answer)["runtimes"]
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise DeployError(f"APIHOST: got {error}, expected an OpenWhisk that lists its kinds") from error
    named = set(re.findall(r"runtime: (\S+)", manifest.read_text()))
    missing = named - {entry["kind"] for family in families.values() for entry in family}
    if missing:
        raise DeployError(
            f"kinds: the OpenWhisk lacks {', '.join(sorted(missing))}; put their entries of {RUNTIMES} into its "
            "runtimes.json, pull their images on every invoker and start it anew"
        )


def check_set(environment: Mapping[str, str], manifest: Path) -> None:
    """Refuse unset variables: wskdeploy would deploy empty strings."""
    named = ["APIHOST", "AUTH", *re.findall(r"\$\{(\w+)\}", manifest.read_text())]
    unset = [name for name in dict.fromkeys(named) if name not in OPTIONAL and not environment.get(name)]
    if unset:
        raise DeployError(f"not set: {', '.join(unset)}; set them in the env file that DL_ENV names")


def wskdeploy(environment: Mapping[str, str], *arguments: str) -> str:
    """Run wskdeploy and return its output."""
    ran = run(environment, "wskdeploy", *arguments)
    if ran.returncode:
        raise DeployError(f"wskdeploy {shlex.join(arguments)}: {(ran.stderr or ran.stdout).strip()}")
    return ran.stdout


def run(environment: Mapping[str, str], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the pinned tools with the settings of the env file."""
    command = [str(BIN / program), *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def load_environment() -> dict[str, str]:
    """Read the env file that DL_ENV names, else the local platform's."""
    path = Path(os.environ.get("DL_ENV") or DEFAULT_STATE / "env")
    if not path.exists():
        raise DeployError(
            f"{path}: no such file; run scripts/platform start, or set DL_ENV to the env file of your own"
        )
    environment = read_env(path)
    if not environment.get("WSK_CONFIG_FILE"):  # wskdeploy reads its address and key from a file alone
        properties = path.with_name(path.name + ".wskprops")
        lines = [f"{name}={environment.get(name, '')}" for name in ("APIHOST", "AUTH")]
        write_private(properties, "\n".join([*lines, "APIVERSION=v1", ""]))
        environment["WSK_CONFIG_FILE"] = str(properties.resolve())
    return environment


@click.command(help=__doc__)
@click.option(
    "--kinds", is_flag=True, help="use runtime kinds of the OpenWhisk, which can be prewarmed, not image names"
)
@click.option("--undeploy", "remove", is_flag=True, help="remove what the manifest names")
def main(kinds: bool, remove: bool) -> None:
    """Deploy and say how."""
    try:
        environment = load_environment()
        if kinds and not remove:
            print(f"deploying {MADE_MANIFEST.name}: {MANIFEST.name} with kinds in place of images")
            print(f"the OpenWhisk has to list the kinds of {RUNTIMES}")
        said = undeploy(environment) if remove else deploy(environment, kinds)
    except (DeployError, plugins.PluginError, zips.PackageError) as error:
        sys.exit(f"scripts/deploy: {error}")
    print(said.strip())


if __name__ == "__main__":
    main()
