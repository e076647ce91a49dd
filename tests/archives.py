"""What tests of images share: encoded ones, and zips and tars of files."""

import io
import tarfile
import zipfile

from PIL import Image


def encoded(array, kind="png", **form):
    file = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(file, kind, **form)
    return file.getvalue()


def zipped(files, **form):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **form) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return file.getvalue()


def tarred(files, form=tarfile.PAX_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return file.getvalue()


def gnu(files):
    return tarred(files, tarfile.GNU_FORMAT)
