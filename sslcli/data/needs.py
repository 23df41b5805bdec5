"""Checks what an experiment needs of its data, before anything slow."""

from __future__ import annotations

import numpy as np

from sslcli.data.images import Splits
from sslcli.errors import SslcliError

CLASS_FOLDERS = (
    "data=folder takes them from class folders (train/cat/1.jpg), data=arrays from the key y_train"
)
OWN_PARTS = (
    "bring validation pictures of your own: rows of the part val, or the keys x_val and y_val"
)


def require_labels(splits: Splits, name: str) -> None:
    """Raises SslcliError unless `train` and `val` are labelled, with two classes."""
    if splits.train.targets is not None:
        kind = "several classes" if splits.train.targets.dtype == np.bool_ else "a number"
        message = f"{name} needs one class a picture, and these have {kind} each"
        raise SslcliError(message, "linear-eval measures these; data.label=COLUMN names classes")
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


def require_nothing(splits: Splits, name: str) -> None:
    """Accepts pictures without labels: masks say what is in them."""


def require_test(splits: Splits, name: str) -> None:
    """Raises SslcliError unless there is a test part, labelled if training is."""
    if splits.test is None:
        raise SslcliError(
            f"{name} needs test pictures, and the data have none",
            "data=folder takes them from test/ beside train/, data=arrays from the keys x_test "
            "and y_test; or hold some out before pretraining: data.test_fraction=0.2",
        )
    labels = splits.train.labels is not None and splits.test.labels is None
    if labels or (splits.train.targets is not None and splits.test.targets is None):
        raise SslcliError(f"{name} needs labels, and the test pictures have none", CLASS_FOLDERS)
    targets = splits.test.targets
    if targets is not None and targets.dtype == np.bool_ and not targets.any():
        message = f"{name} needs labels, and no test picture has any of the classes"
        raise SslcliError(message, "bring test pictures that have some")


def require_labels_or_targets(splits: Splits, name: str) -> None:
    """Raises SslcliError unless `train` and `val` have labels or targets that differ."""
    train, val = splits.train.targets, splits.val.targets
    if train is None:
        require_labels(splits, name)
        return
    if val is None:
        raise SslcliError(f"{name} needs labels, and the validation pictures have none", OWN_PARTS)
    if (train == train[:1]).all():
        message = f"{name} has nothing to learn: all training pictures have the same labels"
        if train.dtype != np.bool_:
            message = (
                f"{name} has nothing to learn: the number is {train[0, 0]:g} in all of training"
            )
        raise SslcliError(message, "bring pictures that differ in what is to be predicted")
    if val.dtype == np.bool_ and not val.any():
        message = f"{name} chooses on validation, where no picture has any of the classes"
        raise SslcliError(message, OWN_PARTS)
