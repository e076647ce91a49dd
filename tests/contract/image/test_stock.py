"""The stock Python kind: exactly the packages of OpenWhisk's own image, and a zip's own virtual environment."""

import io
import re
import subprocess
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import installation

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "runtime/image/stock-python"
PYTHON = ROOT / ".venv-stock/bin/python"
SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
# apache/openwhisk-runtime-python 9a873ec, core/python311Action/requirements.txt
LISTED = {
    "beautifulsoup4": "4.11.2", "httplib2": "0.21.0", "kafka_python": "2.0.2", "lxml": "4.9.2",
    "python-dateutil": "2.8.2", "requests": "2.32.2", "scrapy": "2.11.2", "simplejson": "3.18.3",
    "virtualenv": "20.19.0", "twisted": "24.7.0", "netifaces": "0.11.0", "setuptools": "67.4.0",
}  # fmt: skip
MODULES = "bs4 httplib2 kafka lxml.etree dateutil requests scrapy simplejson virtualenv twisted setuptools six wheel"
OURS = "numpy tensorflow keras boto3 safetensors"
FAILED = "The action failed to generate or locate a binary. See logs for details."
Start = Callable[..., Any]


def pins(*files: str) -> dict[str, str]:
    text = "\n".join((FOLDER / name).read_text() for name in files)
    return dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", text))


def test_the_list_is_openwhisks() -> None:
    assert pins("requirements.in", "source.in") == LISTED


def test_the_environment_is_the_lock_files() -> None:
    code = (
        "from importlib.metadata import distributions\nfor d in distributions(): print(d.metadata['Name'], d.version)"
    )
    said = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout
    found = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in map(str.split, said.splitlines())}
    del found["pip"]
    assert found == pins("requirements.txt", *(["source.txt"] if installation.can_compile() else []))


def test_its_packages_are_importable_and_ours_are_not(initialized: Start) -> None:
    code = """import importlib
def missing(name):
  try: importlib.import_module(name)
  except ModuleNotFoundError: return True
def main(a): return {'missing': [name for name in a['names'] if missing(name)]}"""
    container = initialized("stock", code)
    names = [*MODULES.split(), *OURS.split()]
    assert container.post("/run", {"value": {"names": names}}).body == {"missing": OURS.split()}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the files of a virtual environment made by virtualenv itself, with a package `lxml` of its own."""
    folder = tmp_path_factory.mktemp("zip") / "virtualenv"
    bare = ("--no-download", "--no-pip", "--no-setuptools", "--no-wheel")
    subprocess.run([PYTHON, "-m", "virtualenv", *bare, folder], check=True, capture_output=True)
    (folder / "lib/python3.11/site-packages/lxml.py").write_text("MINE = 'from the zip'")
    kept = [folder / "bin/activate_this.py", *(folder / "lib").rglob("*.py")]
    return {str(path.relative_to(folder.parent)): path.read_bytes() for path in kept}


def zipped(files: dict[str, bytes]) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, content in files.items():
            writer.writestr(name, content)
    return b64encode(archive.getvalue()).decode()


@pytest.mark.parametrize("folder", ["bin", "Scripts"])
def test_the_virtual_environment_of_a_zip_comes_first(folder: str, environment: dict[str, bytes], start: Start) -> None:
    main = b"import lxml, requests\ndef main(a): return {'lxml': lxml.MINE, 'requests': requests.__version__}"
    files = {name.replace("/bin/", f"/{folder}/"): content for name, content in environment.items()}
    container = start("stock")
    value = {"name": "a", "main": "main", "binary": True, "code": zipped({**files, "__main__.py": main})}
    assert container.post("/init", {"value": value}).status == 200, container.outputs()
    assert container.post("/run", {"value": {}}).body == {"lxml": "from the zip", "requests": LISTED["requests"]}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("lib/x.py", b"", "Invalid virtualenv. Zip file does not include 'activate_this.py'.\n"),
        ("bin/activate_this.py", b"1 / 0", "ZeroDivisionError: division by zero\n\n"),
    ],
)
def test_a_virtual_environment_that_cannot_be_activated_is_told(
    name: str, content: bytes, said: str, start: Start
) -> None:
    container = start("stock")
    files = {"__main__.py": b"def main(a): return a", f"virtualenv/{name}": content}
    value = {"name": "a", "main": "main", "binary": True, "code": zipped(files)}
    assert container.post("/init", {"value": value}) == (502, {"error": FAILED}, True)
    assert container.outputs() == (SENTINEL, said + SENTINEL)
