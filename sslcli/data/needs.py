"""Checks what an experiment needs of its data, before anything slow."""

from __future__ import annotations

from sslcli.data.images import Splits
from sslcli.errors import SslcliError

CLASS_FOLDERS = (
    "data=folder takes them from class folders (train/cat/1.jpg), data=arrays from the key y_train"
)


def require_labels(splits: Splits, name: str) -> None:
    """Raises SslcliError unless `train` and `val` are labelled, with two classes."""
    if splits.no_labels is not None:
        message = f"{name} needs labels, and these cannot be used: {splits.no_labels}"
        raise SslcliError(message, CLASS_FOLDERS)
    if splits.train.labels is None or splits.val.labels is None:
        part = "training" if splits.train.labels is None else "validation"
        raise SslcliError(f"{name} needs labels, and the {part} pictures have none", CLASS_FOLDERS)
    found = set(splits.train.labels.tolist())
    if len(found) < 2:
        label = found.pop()
        only = repr(splits.classes[label]) if splits.classes else str(label)
        message = f"{name} needs at least two classes, and the training pictures have one, {only}"
        raise SslcliError(message, CLASS_FOLDERS)
    if found.isdisjoint(splits.val.labels.tolist()):
        raise SslcliError(
            f"{name} chooses on validation, which has no picture of any class that training has",
            "give every class two pictures or more, or bring validation pictures of your own: val/ "
            "beside train/, or the keys x_val and y_val",
        )


def require_test(splits: Splits, name: str) -> None:
    """Raises SslcliError unless there is a test part, labelled if training is."""
    if splits.test is None:
        raise SslcliError(
            f"{name} needs test pictures, and the data have none",
            "data=folder takes them from test/ beside train/, data=arrays from the keys x_test "
            "and y_test; or hold some out before pretraining: data.test_fraction=0.2",
        )
    if splits.train.labels is not None and splits.test.labels is None:
        raise SslcliError(f"{name} needs labels, and the test pictures have none", CLASS_FOLDERS)
