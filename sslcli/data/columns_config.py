"""Defines the settings of data that bring columns: what each picture is known by."""

from __future__ import annotations

from dataclasses import dataclass

from sslcli.data.folder import FolderConfig
from sslcli.errors import SslcliError
from sslcli.settings import setting


@dataclass(kw_only=True)
class ColumnsConfig(FolderConfig):
    """Holds the names of columns: of classes or numbers, and of groups."""

    label: str | None = setting(
        None, 'the column of classes; null: "label" if there is one, else no labels'
    )
    labels: str | None = setting(
        None,
        'the column of several classes a picture, with | between them; null: "labels" if there is '
        "one, and no label",
        added_later=True,
    )
    target: str | None = setting(
        None,
        'the column of numbers; null: "target" if there is one, and neither label nor labels',
        added_later=True,
    )
    groups: str | None = setting(
        None,
        "the column of groups (a patient), each of which stays on one side of every split, or a "
        "regular expression whose first brackets hold it in the path; "
        'null: "group" if there is one',
        added_later=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {"label": self.label, "labels": self.labels, "target": self.target}
        typed = [f"data.{kind}={column}" for kind, column in kinds.items() if column]
        if len(typed) > 1:
            message = f"{' and '.join(typed)}: a run learns from labels of one kind"
            raise SslcliError(message, f"keep one, such as {typed[0]}")

    def kinds(self) -> dict[str, str | None]:
        """Returns the column that is typed, by its meaning; all three as None where none is."""
        kinds = {"label": self.label, "labels": self.labels, "target": self.target}
        return {kind: column for kind, column in kinds.items() if column is not None} or kinds

    def group_column(self) -> dict[str, str | None]:
        """Returns the column that `groups` names, by its meaning; {} where it is a pattern."""
        return {} if self.groups is not None and "(" in self.groups else {"group": self.groups}
