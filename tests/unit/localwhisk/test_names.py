"""Names: what bodies, paths and conductors may call an entity."""

import pytest

from localwhisk.errors import RequestError
from localwhisk.names import Name, check_segment, parse_reference, resolve_step


@pytest.mark.parametrize(("text", "expected"), [
    ("/_/act", Name("guest", "act")),
    ("/_/pkg/act", Name("guest/pkg", "act")),
    ("_/act", Name("guest", "act")),
    ("whisk.system/utils/echo", Name("whisk.system/utils", "echo")),
])  # fmt: skip
def test_references(text, expected):
    assert parse_reference(text, "guest") == expected


@pytest.mark.parametrize("text", ["act", "/a/b/c/d", "", "/_/a*", 7, None])
def test_no_references(text):
    with pytest.raises(RequestError) as caught:
        parse_reference(text, "guest")
    assert caught.value.status == 400


@pytest.mark.parametrize(("value", "expected"), [
    ("act", Name("guest", "act")),
    ("pkg/act", Name("guest/pkg", "act")),  # not a namespace: there is no leading slash
    ("/_/act", Name("guest", "act")),
    ("/other/act", Name("other", "act")),
    ("other/pkg/act", Name("other/pkg", "act")),
    ("/act", None),
    ("a/b/c/d", None),
    (7, None),
])  # fmt: skip
def test_what_a_conductor_names(value, expected):
    assert resolve_step(value, "guest") == expected


@pytest.mark.parametrize("name", ["a", "a b", "_x@y.z&w-", "x" * 256])
def test_names_that_are_allowed(name):
    assert check_segment(name) == name


@pytest.mark.parametrize("name", [" a", "a ", "-a", "a*", "é", "", "x" * 257])
def test_names_that_are_not(name):
    with pytest.raises(RequestError):
        check_segment(name)
