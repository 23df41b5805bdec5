"""Watches that training does not undo what an encoder's first weights knew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sslcli.engine.optim_config import OptimConfig
from sslcli.method import Evaluate
from sslcli.runs.folder import Run, read_records

if TYPE_CHECKING:
    from sslcli.console import Console

KNN = "knn_accuracy"
FELL = "knn_below_start"


def suggest_low_rate(optim: OptimConfig, console: Console) -> None:
    """Suggests a lower learning rate than the default, which is one for random weights."""
    usual = next(field.default for field in fields(optim) if field.name == "lr")
    if optim.lr == usual:
        console.say(
            f"optim.lr={optim.lr:g} is the default, meant for random weights; what changes given "
            f"ones less: optim.lr={optim.lr / 10:g}, or optim.layer_decay=0.75"
        )


@dataclass
class Remembering:
    """Compares kNN accuracy with what it was before the first step.

    Records `knn_below_start`, 1 where it is below; the first time it says so.
    """

    evaluate: Evaluate
    run: Run
    warn: Callable[[str], None]
    _warned: bool = False

    def __call__(self, step: int) -> dict[str, float]:
        values = self.evaluate(step)
        before = None if step == 0 else self._at_start()
        if before is None or KNN not in values:
            return values
        now = values[KNN]
        if now < before and not self._warned:
            self._warned = True
            self.warn(
                f"after step {step}: kNN accuracy on validation is {100 * now:.2f} %, below the "
                f"{100 * before:.2f} % of the weights that it began with; a lower optim.lr changes "
                "them less"
            )
        return {**values, FELL: float(now < before)}

    def _at_start(self) -> float | None:
        """Returns the accuracy at step 0, from the run's records: it may be a resumed one."""
        first = (record for record in read_records(self.run.folder) if record["step"] == 0)
        return next((float(record[KNN]) for record in first if KNN in record), None)
