"""Images in zips and tars: class folders and WebDataset, decoded as Pillow does, and what is refused by its name."""

import contextlib
import gc
import io
import json
import random
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image
from tests.archives import encoded, gnu, tarred, zipped
from tests.cells import cells

from common.data.images import folders, picture, webdataset
from common.data.images.members import members
from common.data.rows import TEXT, Column
from common.errors import DatasetError

RANDOM = np.random.default_rng(5)


def image(height=3, width=4, channels=3):
    return RANDOM.integers(0, 256, (height, width, channels), np.uint8)


def deflated(files):
    return zipped(files, compression=zipfile.ZIP_DEFLATED)


def opened(body, size=None):
    reader = webdataset if webdataset.is_own(lambda: io.BytesIO(body)) and body[:2] != b"PK" else folders
    return reader.open_file(lambda: io.BytesIO(body), size)


ARRAYS = [image() for _ in range(6)]
JUNK = {"__MACOSX/cats/._0.png": b"x", "cats/.DS_Store": b"x", "readme.txt": b"x", "Thumbs.db": b"x"}


@pytest.mark.parametrize("archive", [zipped, deflated, tarred, gnu])
@pytest.mark.parametrize("around", ["", "flowers/", "a/very/" + "long" * 40 + "/"])
def test_class_folders(archive, around):
    files = {f"{around}{'cats' if k % 2 else 'dögs'}/{k}.png": encoded(one) for k, one in enumerate(ARRAYS)}
    found = opened(archive({**JUNK, **files}))
    assert found.columns == [Column("image", "|u1", (3, 4, 3)), Column("label", TEXT)] and found.rows == 6
    (images, _), (labels, missing) = cells(found, "image", "label")
    np.testing.assert_array_equal(images, ARRAYS)
    assert labels.tolist() == ["dögs", "cats"] * 3 and not missing.any()
    assert cells(found, "label")[0][0].tolist() == labels.tolist()


@pytest.mark.parametrize("held", ["test", "val", "validation"])
def test_sets_in_folders(held):
    files = {f"d/{held if k > 3 else 'train'}/{'ab'[k % 2]}/{k}.png": encoded(one) for k, one in enumerate(ARRAYS)}
    found = opened(zipped(files))
    np.testing.assert_array_equal(cells(found, "image")[0][0], ARRAYS[:4])
    np.testing.assert_array_equal(cells(found.test, "image")[0][0], ARRAYS[4:])
    assert cells(found.test, "label")[0][0].tolist() == ["a", "b"]


def test_batches_are_bounded(monkeypatch):
    monkeypatch.setattr("common.data.images.album.BATCH_BYTES", 3 * 4 * 3 * 2)
    found = opened(tarred({f"a/{k}.png": encoded(one) for k, one in enumerate(ARRAYS[:5])}))
    assert [len(images.values) for (images,) in found.batches(["image"])] == [2, 2, 1]
    np.testing.assert_array_equal(cells(found, "image")[0][0], ARRAYS[:5])


KINDS = ["png", "tiff", "jpeg", "webp", "bmp", "gif", "ppm"]


def saved():
    """Yield a file of each format and each of Pillow's modes that it takes."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"):
        wide = Image.fromarray(RANDOM.integers(0, 2**16, (16, 16)).astype(np.uint16))
        made = wide if mode == "I;16" else Image.fromarray(image(16, 16)).convert(mode)
        for kind in KINDS:
            file = io.BytesIO()
            with contextlib.suppress(OSError, ValueError):
                made.save(file, kind)
                yield pytest.param(file.getvalue(), id=f"{mode} {kind}")


SAVED = list(saved())


def test_there_are_many_modes_and_formats():
    assert len(SAVED) > 40


@pytest.mark.parametrize("body", SAVED)
def test_modes_and_formats(body):
    held = Image.open(io.BytesIO(body))
    grey = held.mode in ("1", "L", "LA", "I;16", "I;16B")
    if held.mode.startswith("I"):
        expected = (np.asarray(held) // 256).astype(np.uint8)[..., None]
    else:
        expected = np.asarray(held.convert("L" if grey else "RGB")).reshape(16, 16, -1)
    assert picture.shape_of(body, "x") == expected.shape
    np.testing.assert_array_equal(picture.decode(body, "x"), expected)


def test_grey_among_colours_becomes_coloured():
    grey = image(channels=1)
    found = opened(zipped({"a/0.png": encoded(grey), "b/1.png": encoded(ARRAYS[0])}))
    images = cells(found, "image")[0][0]
    np.testing.assert_array_equal(images, [np.repeat(grey, 3, axis=2), ARRAYS[0]])


def test_image_size_is_pillows_bilinear():
    large = image(9, 7)
    found = opened(zipped({"a/0.png": encoded(large), "b/1.png": encoded(ARRAYS[0])}), (3, 4))
    expected = np.asarray(Image.fromarray(large).resize((4, 3), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(cells(found, "image")[0][0], [expected, ARRAYS[0]])


LABELS = [
    ([b"3", b"-1", b"0\n"], ".cls", "<i8", [3, -1, 0]),
    ([b"cat", b"7", b"dog"], ".cls", TEXT, ["cat", "7", "dog"]),
    ([b'{"label": 3}', b'{"cls": 4}', b'{"label": 5, "cls": 6}'], ".json", "<i8", [3, 4, 5]),
    ([b'{"label": "x"}', b'{"cls": "y"}', b'{"label": "z"}'], ".json", TEXT, ["x", "y", "z"]),
]


@pytest.mark.parametrize(("labels", "suffix", "dtype", "expected"), LABELS, ids=range(len(LABELS)))
@pytest.mark.parametrize("archive", [tarred, gnu])
def test_webdataset(labels, suffix, dtype, expected, archive):
    files = {}
    for k, body in enumerate(labels):
        files |= {f"d/{k:03}.png": encoded(ARRAYS[k]), f"d/{k:03}{suffix}": body, f"d/{k:03}.txt": b"words"}
    found = opened(archive(files))
    assert found.columns == [Column("image", "|u1", (3, 4, 3)), Column("label", dtype)] and found.rows == 3
    (images, _), (values, _) = cells(found, "image", "label")
    np.testing.assert_array_equal(images, ARRAYS[:3])
    assert values.tolist() == expected


def link(name):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    return file.getvalue()


def encrypted():
    body = bytearray(zipped({"a/0.png": encoded(ARRAYS[0])}))
    body[6] |= 1
    body[body.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


def bomb(width):
    file = io.BytesIO()
    Image.new("1", (width, width)).save(file, "png")
    return file.getvalue()


PNG = encoded(ARRAYS[0])
HELD = "expected one in an example"
NO_LABEL = "got no label, expected .cls, or .json with label or cls"
SIZES = "(height x width), expected 3 x 4 pixels (height x width) as 'a/0.png' has, or image_size for all"
BESIDE = {"train/a/0.png": PNG, "train/1.png": PNG, "test/a/2.png": PNG}
REFUSED = [
    (zipped({"0.png": PNG}), "'0.png': got an image in no folder, expected a folder a class"),
    (zipped({"a.txt": b"x"}), "got an archive without an image, expected a folder of images a class"),
    (zipped(BESIDE), "'train/1.png': got an image beside the classes, expected one in train/class/"),
    (zipped({"a/0.png": PNG, "b/1.png": encoded(image(5, 4))}), f"'b/1.png': got 5 x 4 pixels {SIZES}"),
    (zipped({"a/0.png": PNG, "a/1.png": b"text"}), "'a/1.png': got no image (cannot identify image file"),
    (zipped({"a/0.png": PNG[:60]}), "'a/0.png': got an image that does not decode ("),
    (zipped({"a/0.png": bomb(5000)}), "'a/0.png': got 5000 x 5000 pixels, expected at most 16777216 in all"),
    (zipped({"a/0.png": bomb(20_000)}), "'a/0.png': got no image (Image size (400000000 pixels) exceeds limit"),
    (deflated({"a/0.png": b"\0" * (33 << 20)}), "'a/0.png': got a file of 33 MB, expected at most 32"),
    (zipped({"../a/0.png": PNG}), "'../a/0.png': got a path out of the archive, expected one inside"),
    (zipped({"/a/0.png": PNG}), "'/a/0.png': got a path out of the archive, expected one inside"),
    (tarred({"a/../../0.png": PNG}), "'a/../../0.png': got a path out of the archive, expected one inside"),
    (link("a/0.png"), "'a/0.png': got a link or a device, expected a file"),
    (encrypted(), "'a/0.png': got an encrypted file, expected one without a password"),
    (zipped({"a/0.png": PNG})[:-9], "got a damaged archive (File is not a zip file), expected a whole zip or tar"),
    (tarred({"a/0.png": PNG, "a/1.png": PNG})[:1800], "got a damaged archive (unexpected end of data), expected"),
    (tarred({"0.png": PNG, "0.cls": b"1", "1.png": PNG}), f"'1': {NO_LABEL}"),
    (tarred({"0.png": PNG, "0.cls": b"1", "1.cls": b"1"}), f"'1': got 0 images, {HELD}"),
    (tarred({"0.png": PNG, "0.jpg": PNG, "0.cls": b"1"}), f"'0': got 2 images, {HELD}"),
    (tarred({"0.png": PNG, "0.json": b"{"}), "'0': got no JSON (Expecting property name"),
    (tarred({"0.png": PNG, "0.json": b'{"label": [1]}'}), f"'0': {NO_LABEL}"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_a_refusal(body, expected):
    with pytest.raises(DatasetError) as error:
        cells(opened(body), "image")
    assert str(error.value).startswith(expected) and "\n" not in str(error.value) and len(str(error.value)) < 300


def test_a_file_twice_in_an_example():
    body = tarred({"0.png": PNG, "0.cls": b"1"})
    with pytest.raises(DatasetError, match="got two files .cls, expected one of a kind in an example"):
        opened(body[: body.index(b"0.cls") + 1024] + body[body.index(b"0.cls") :])


@pytest.mark.parametrize("archive", [zipped, deflated, tarred])
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_archive_gives_images_or_a_sentence(archive, seed):
    generator = random.Random(seed)
    body = archive(
        {
            f"{'ab'[k % 2]}/{k}.{'png' if k < 4 else 'jpg'}": encoded(one, "png" if k < 4 else "jpeg")
            for k, one in enumerate(ARRAYS)
        }
    )
    refused = 0
    for _ in range(60):
        damaged = bytearray(body)
        for _ in range(generator.randint(1, 5)):
            damaged[generator.randrange(4, len(damaged))] = generator.randrange(256)
        try:
            found = opened(bytes(damaged))
            assert sum(len(images.values) for (images,) in found.batches(["image"])) == found.rows
        except DatasetError:
            refused += 1
    assert refused


def test_json_of_webdataset_is_read_as_utf8():
    body = tarred({"0.png": PNG, "0.json": json.dumps({"label": "ü"}, ensure_ascii=False).encode()})
    assert cells(opened(body), "label")[0][0].tolist() == ["ü"]


@pytest.mark.parametrize("archive", [tarred, gnu])
def test_what_a_tar_takes_does_not_grow_with_its_members(archive):
    body = archive({f"{number % 9}/{number}.png": b"" for number in range(20_000)})
    passed = 0
    for _ in members(lambda: io.BytesIO(body)):
        passed += 1
        if passed % 5000 == 0:  # tarfile alone keeps the header of each, 535 bytes
            assert sum(isinstance(one, tarfile.TarInfo) for one in gc.get_objects()) < 100
    assert passed == 20_000
