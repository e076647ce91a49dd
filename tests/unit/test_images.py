"""scripts/images.py: an image's name in its parts, as OpenWhisk joins them again."""

import pytest

import images


@pytest.mark.parametrize(("image", "expected"), [
    ("openwhisk-dl/dl-python:0.1.0", {"prefix": "openwhisk-dl", "name": "dl-python", "tag": "0.1.0"}),
    ("dl-python", {"name": "dl-python"}),
    ("r.example/dl-python:1", {"registry": "r.example", "name": "dl-python", "tag": "1"}),
    ("r:5000/a/b/c:1", {"registry": "r:5000", "prefix": "a/b", "name": "c", "tag": "1"}),
    ("localhost/a/c", {"registry": "localhost", "prefix": "a", "name": "c"}),
])  # fmt: skip
def test_an_images_name_in_parts(image, expected):
    assert images.parts(image) == expected
