"""actions/on-upload: events as S3 servers write them, and everything that must start nothing."""

import copy

import pytest

from common.errors import ParameterError
from common.storage.run import check_name

ETAG = "9b2cf535f27731c974343645a3985328"
VERSITYGW = {
    "eventVersion": "2.2",
    "eventSource": "aws:s3",
    "awsRegion": "us-east-1",
    "eventTime": "2026-11-23T13:00:00Z",
    "eventName": "s3:ObjectCreated:Put",
    "userIdentity": {"PrincipalId": "root"},
    "requestParameters": {"sourceIPAddress": "127.0.0.1"},
    "responseElements": {"x-amz-request-id": "", "x-amz-id-2": ""},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "webhook-global",
        "bucket": {"name": "data", "ownerIdentity": {"PrincipalId": "root"}, "arn": "arn:aws:s3:::/data/datasets/x"},
        "object": {"key": "datasets/shapes/train.json", "size": 90, "eTag": f'"{ETAG}"', "sequencer": "18"},
    },
    "glacierEventData": {"restoreEventData": {"lifecycleRestorationExpiryTime": ""}},
}


def event(name="s3:ObjectCreated:Put", bucket="data", **changes):
    """Return an event; `key` and `eTag` as given."""
    record = copy.deepcopy(VERSITYGW) | {"eventName": name}
    record["s3"]["bucket"]["name"] = bucket
    record["s3"]["object"] |= changes
    return {"Records": [record]}


def without(*path):
    """Return an event that lacks one field."""
    held = event()
    inner = held["Records"][0]
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return held


MINIO = event(key="datasets%2Fshapes%2Ftrain.json", eTag=ETAG) | {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "data/datasets/shapes/train.json",
}


@pytest.mark.parametrize(
    ("given", "config", "run"),
    [
        pytest.param(event(), "datasets/shapes/train.json", "shapes-9b2cf535f277", id="versitygw"),
        pytest.param(MINIO, "datasets/shapes/train.json", "shapes-9b2cf535f277", id="minio"),
        pytest.param(
            event(name="ObjectCreated:Put", key="datasets/My+Data%C3%A9/train.json", eTag=ETAG),
            "datasets/My Dataé/train.json",
            "my-data--9b2cf535f277",
            id="aws",
        ),
        pytest.param(
            event(name="ObjectCreated:CompleteMultipartUpload", eTag="D41D8CD98F00B204E9800998ECF8427E-2"),
            "datasets/shapes/train.json",
            "shapes-d41d8cd98f00",
            id="parts",
        ),
        pytest.param(event(eTag="ab/1"), "datasets/shapes/train.json", "shapes-ab-1", id="short etag"),
        pytest.param(
            event(key=f"datasets/{'n' * 100}/train.json"),
            f"datasets/{'n' * 100}/train.json",
            f"{'n' * 51}-9b2cf535f277",
            id="long name",
        ),
    ],
)
def test_an_uploaded_configuration_becomes_a_run(action, given, config, run):
    assert action("on-upload")(given) == {"config": f"s3://data/{config}", "run": run, "uploaded": True}


def test_nothing_else_goes_on(action):
    held = event() | {"__ow_headers": {"authorization": "Basic a2V5"}, "$composer": {"state": 1}, "workers": 8}
    given = copy.deepcopy(held)
    passed = action("on-upload")(given)
    config = "s3://data/datasets/shapes/train.json"
    assert passed == {"config": config, "run": "shapes-9b2cf535f277", "uploaded": True}
    assert check_name(passed["run"]) == passed["run"]
    assert given == {name: value for name, value in held.items() if name != "__ow_headers"}


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({}, "no records"),
        ({"Service": "S3", "Event": "s3:TestEvent", "Bucket": "Test-Bucket"}, "no records"),
        ({"Records": None}, "no records"),
        ({"Records": []}, "0 records"),
        ({"Records": event()["Records"] * 2}, "2 records"),
        ({"Records": ["s3:ObjectCreated:Put"]}, "a record without event name, bucket, key or eTag"),
        (without("eventName"), "a record without event name, bucket, key or eTag"),
        (without("s3", "object", "eTag"), "a record without event name, bucket, key or eTag"),
        (event(key=7), "a record without event name, bucket, key or eTag"),
        (event(eTag=None), "a record without event name, bucket, key or eTag"),
        (event(key="datasets/%FF/train.json"), "a record without event name, bucket, key or eTag"),
        (event(name="s3:ObjectRemoved:Delete"), "'s3:ObjectRemoved:Delete'"),
        (event(name="s3:ObjectTagging:Put"), "'s3:ObjectTagging:Put'"),
        (event(name=7), "'7'"),
        (event(key="datasets/train.json"), "key 'datasets/train.json'"),
        (event(key="datasets/a/b/train.json"), "key 'datasets/a/b/train.json'"),
        (event(key="datasets/a/train.json.bak"), "key 'datasets/a/train.json.bak'"),
        (event(key="runs/a/plan.json"), "key 'runs/a/plan.json'"),
        (event(key="x/datasets/a/train.json"), "key 'x/datasets/a/train.json'"),
        (event(bucket="a/b"), f"bucket 'a/b' and eTag '{ETAG}'"),
        (event(eTag='""'), "bucket 'data' and eTag ''"),
    ],
)
def test_anything_else_ends_in_one_sentence(action, given, got):
    with pytest.raises(ParameterError) as refused:
        action("on-upload")(given | {"__ow_headers": {"authorization": "Basic a2V5"}})
    assert str(refused.value) == f"event: got {got}, expected one created datasets/<name>/train.json"
