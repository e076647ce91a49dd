"""The zips that manifest.yaml names: one an action, one a conductor; built by scripts/package, and for deployment.

The same source gives the same bytes, so that a deployment without a change leaves warm containers warm. What wskdeploy
would silently drop or add when it zips a folder itself (empty files, symlinks, caches) is refused or left out here.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import plugins
from plugins import Plugins

NONE = Plugins({}, None)
ROOT = Path(__file__).resolve().parent.parent
ZIPS = ROOT / ".local" / "zips"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold
MODE = 0o100644
CODE_LIMIT = 48 << 20  # bytes; OpenWhisk's limit of an action's code
NODE_SUFFIXES = {".js", ".json", ".mjs"}
NODE_SKIPPED = {"test", "examples", ".github", "bin", "umd", "esm-browser"}  # of no use in a Node action
LICENCES = ("license", "licence", "notice")


class PackageError(Exception):
    """A source that must not be packaged, in one sentence."""


def build_all(root: Path = ROOT, zips: Path = ZIPS, own: Plugins = NONE) -> list[Path]:
    """Build every zip, remove those whose source is gone, and return their paths."""
    zips.mkdir(parents=True, exist_ok=True)
    contents = {main.parent.name: python_action(main.parent) for main in sorted(root.glob("actions/*/__main__.py"))}
    if own.document:
        check_apart(own.files, contents["trainer"])
        for name, files in (("planner", {}), ("trainer", own.files)):
            contents[name] |= {"plugins.json": own.document, **files}
    contents |= {path.stem: conductor(path) for path in sorted(root.glob("compositions/*.js"))}
    built = [write(zips / f"{name}.zip", files) for name, files in contents.items()]
    for path in set(zips.glob("*.zip")) - set(built):
        path.unlink()
    return built


def check_apart(own: Mapping[str, bytes], held: Mapping[str, bytes]) -> None:
    """Refuse plugins' files that would take the place of an action's own modules, or lie among them."""
    tops, others = ({Path(name).parts[0].removesuffix(".py") for name in files} for files in (own, held))
    if same := sorted(tops & others):
        raise PackageError(f"DL_PLUGINS: got a module {same[0]}, expected another name: the trainer has one")


def python_action(folder: Path) -> dict[str, bytes]:
    """Collect an action: its `__main__.py`, and the modules of the common library that it imports, and theirs."""
    own = {path.name for path in folder.iterdir()} - {"__pycache__"}
    if own != {"__main__.py"}:
        raise PackageError(f"{folder}: got {', '.join(sorted(own))}, expected __main__.py alone (the rest is common's)")
    main = folder / "__main__.py"
    return {main.name: read(main)} | {str(path.relative_to(folder.parent)): read(path) for path in imported(main)}


def imported(main: Path) -> list[Path]:
    """Return the files of the library beside an action's folder that its file imports, inside functions too."""
    finder = ModuleFinder([str(main.parent.parent)])  # looks nowhere else: what an image holds is not packed
    finder.run_script(str(main))
    named = [vars(module)["__file__"] for module in finder.modules.values()]
    files = {Path(file) for file in named if file}  # none: built in
    return sorted(files - {main})


def read(path: Path) -> bytes:
    """Read a file that a zip may hold."""
    if path.is_symlink():
        raise PackageError(f"{path}: got a symbolic link, expected a file")
    content = path.read_bytes()
    if not content:
        raise PackageError(f"{path}: got an empty file, expected at least a docstring")
    return content


def conductor(composition: Path) -> dict[str, bytes]:
    """Compile a composition, put its join around it, where it has one, and add the Node packages that it needs."""
    modules = composition.parent / "node_modules"
    program = modules / "openwhisk-composer" / "bin" / "compose.js"
    ran = subprocess.run(["node", program, composition, "--js"], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise PackageError(f"{composition}: composer refused it: {ran.stderr.strip()}")
    package = {"name": composition.stem, "main": "index.js", "license": "Apache-2.0"}
    compiled, join = f"{ran.stdout}\nexports.main = main\n".encode(), composition.parent / "joins" / composition.name
    code = {"composition.js": compiled, "index.js": read(join)} if join.exists() else {"index.js": compiled}
    files = {**code, "package.json": json.dumps(package).encode()}
    lock = json.loads((composition.parent / "package-lock.json").read_text())
    return files | dict(node_modules(composition.parent, lock["packages"]))


def node_modules(folder: Path, packages: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the packages that the lock file does not mark as needed for development alone."""
    for place, package in packages.items():
        if not place or package.get("dev"):
            continue
        installed = json.loads((folder / place / "package.json").read_text())["version"]
        if installed != package["version"]:
            raise PackageError(f"{folder / place}: got version {installed}, expected {package['version']}")
        for path in sorted((folder / place).rglob("*")):
            inner = path.relative_to(folder / place)
            if path.is_file() and travels(inner):
                yield str(path.relative_to(folder)), read(path)


def travels(path: Path) -> bool:
    """Tell whether a file of a Node package goes into the zip: its code, its data and its licence."""
    useful = path.suffix in NODE_SUFFIXES or path.name.lower().startswith(LICENCES)
    return useful and not NODE_SKIPPED & set(path.parts) and "node_modules" not in path.parts


def write(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a zip whose bytes follow from names and contents alone."""
    new = path.with_name(path.name + ".new")
    with zipfile.ZipFile(new, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = MODE << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    if new.stat().st_size > CODE_LIMIT:
        raise PackageError(f"{path}: got {new.stat().st_size} bytes, expected at most {CODE_LIMIT}")
    new.replace(path)
    return path


def main() -> None:
    """Build all and say what was built."""
    try:
        for path in build_all(own=plugins.collect(plugins.named(os.environ.get("DL_PLUGINS", "")))):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")
    except (PackageError, plugins.PluginError) as error:
        sys.exit(f"scripts/package: {error}")


if __name__ == "__main__":
    main()
