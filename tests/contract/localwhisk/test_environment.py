"""A container has its image's own environment: what the Dockerfile says, on localwhisk as in Docker."""

import pytest

import images

# what the process was started with: importing TensorFlow adds to it
CODE = """def main(a):
  with open('/proc/self/environ') as file:
    return dict(entry.split('=', 1) for entry in file.read().split('\\0') if entry)"""
PLATFORMS = {"PATH", "HOME", "TMPDIR", "PWD", "OW_SOCKET", "__OW_API_HOST"}
SMALL = {"LANG": "C.UTF-8", "OW_PRELOAD": "numpy,boto3,safetensors.numpy"}
LARGE = {
    "LANG": "C.UTF-8", "OW_PRELOAD": "tensorflow,keras,numpy,safetensors.numpy",
    "TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "4194304", "MALLOC_TRIM_THRESHOLD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow",
}  # fmt: skip
STOCK = {"LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def host(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("localwhisk")
    running = launch(folder / "state", *images.flags(folder))
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize(("stage", "expected"), [("dl-python", SMALL), ("dl-tensorflow", LARGE)])
def test_the_dockerfile_says_it(stage, expected):
    assert images.environments()[stage] == {"HOME": "/tmp", "TMPDIR": "/tmp", **expected}


@pytest.mark.parametrize(("execution", "expected"), [
    ({"kind": "python:3.11-dl"}, SMALL),
    ({"kind": "python:3.11-tensorflow"}, LARGE),
    ({"kind": "blackbox", "image": images.PYTHON_IMAGE}, SMALL),
    ({"kind": "blackbox", "image": images.TENSORFLOW_IMAGE}, LARGE),
    ({"kind": "python:3.11"}, STOCK),
])  # fmt: skip
def test_a_container_has_it(execution, expected, host):
    host.put("actions/environment", {"exec": {**execution, "code": CODE}, "limits": {"memory": 384}})
    status, found = host.result("environment")
    assert (status, {name: value for name, value in found.items() if name not in PLATFORMS}) == (200, expected)
    assert found.keys() >= PLATFORMS
