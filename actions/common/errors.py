"""Every error an action raises on purpose; its text is what the caller of the action reads.

DlError
├── ParameterError   a parameter of dl-pipeline is missing, of the wrong type or out of bounds
├── DatasetError     the dataset cannot be trained on
├── ModelError       the model file cannot be trained, or training left the numbers it may take
├── StoreError       the object store refused or lost something
├── TransferError    a presigned URL could not be read or written
└── RunError         a run cannot go on: it failed, was cancelled, or exists with other parameters
"""


class DlError(Exception):
    """Base of all errors of openwhisk-dl."""


class ParameterError(DlError):
    """A parameter is missing, unknown, of the wrong type or out of bounds."""


class DatasetError(DlError):
    """The dataset cannot be trained on."""


class ModelError(DlError):
    """The model file cannot be trained, or training produced a number that is not finite."""


class StoreError(DlError):
    """The object store refused or lost something."""


class TransferError(DlError):
    """A presigned URL could not be read or written."""


class RunError(DlError):
    """A run cannot go on: it failed, was cancelled, or exists with other parameters."""
