"""Configures what the values of pictures mean, and which channels are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sslcli.data.data_config import DataConfig
from sslcli.data.images import Splits
from sslcli.data.values import require_range
from sslcli.errors import SslcliError
from sslcli.preprocessing import Range
from sslcli.settings import setting


@dataclass(kw_only=True)
class ValuesConfig(DataConfig):
    """Holds the settings of data whose pictures may have any channels, of any depth."""

    range: list[float] | None = setting(
        None,
        "the values that mean black and white, such as [0,4095]; what lies outside is cut to them; "
        "null: 0 and 255, of uint16 0 and 65535, of floats 0 and 1",
        added_later=True,
    )
    shown: list[int] | None = setting(
        None,
        "the channels that figures show as red, green and blue, counted from 0; one: as grey; "
        "null: the first three",
        changes_results=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self.range)
        shown = self.shown
        if shown is not None and (len(shown) not in (1, 3) or min(shown) < 0):
            message = f"data.shown must be one or three channels, counted from 0, got {list(shown)}"
            raise SslcliError(message, "try data.shown=[2,1,0]")

    def chosen_range(self) -> Range | None:
        return None if self.range is None else (float(self.range[0]), float(self.range[1]))

    def with_meaning(self, splits: Splits, range_: Range | None, warnings: Sequence[str]) -> Splits:
        """Returns the parts with the values that mean 0 and 1, and what is shown.

        Raises SslcliError where there is no such channel.
        """
        channels = splits.train.channels
        if self.shown is not None and max(self.shown) >= channels:
            message = f"data.shown={list(self.shown)} of pictures of {channels} channels"
            raise SslcliError(message, f"name channels from 0 to {channels - 1}")
        shown = None if self.shown is None else tuple(self.shown)
        every = (*splits.warnings, *warnings)
        return replace(splits, range=range_, shown=shown, warnings=every)
