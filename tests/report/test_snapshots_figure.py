"""What RankMe, LiDAR and kNN would choose of a run's records, and the figure of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doubles import pixels

from sslcli.report.snapshots import choices_of, save_snapshots


def record(epoch: float, phase: str = "pretrain", **values: float) -> dict[str, Any]:
    return {"phase": phase, "step": round(4 * epoch), "epoch": epoch, **values}


RECORDS = [
    record(0.5, loss=2.0),
    record(1, effective_rank=3.0),
    record(2, effective_rank=7.0, lidar=5.0, knn_accuracy=0.5),
    record(3, effective_rank=7.0),
    record(4, effective_rank=6.0, lidar=4.0, knn_accuracy=0.7),
]


def test_each_measure_chooses_its_largest_and_the_first_of_equals() -> None:
    found = {
        choice.title: (choice.epoch, choice.best, choice.last) for choice in choices_of(RECORDS)
    }
    expected = {"RankMe": (2, 7.0, 6.0), "LiDAR": (2, 5.0, 4.0), "kNN accuracy": (4, 0.7, 0.7)}
    assert found == expected


def test_of_two_measured_epochs_nothing_is_chosen(tmp_path: Path) -> None:
    assert choices_of(RECORDS[:3]) == []
    save_snapshots(tmp_path / "figure.png", RECORDS[:3], [1])
    assert not list(tmp_path.iterdir())


def test_what_was_measured_in_several_phases_is_left_out() -> None:
    assert choices_of([*RECORDS, record(1, "second", effective_rank=2.0)]) == []
    others = [*RECORDS, record(6, lidar=6.0), record(1, "second", effective_rank=2.0)]
    assert [choice.metric for choice in choices_of(others)] == ["lidar", "knn_accuracy"]


def test_a_panel_is_drawn_for_what_was_measured_and_kept_epochs_are_marked(tmp_path: Path) -> None:
    without_labels = [
        {key: value for key, value in one.items() if key != "knn_accuracy"} for one in RECORDS
    ]
    save_snapshots(tmp_path / "three.png", RECORDS, [])
    save_snapshots(tmp_path / "two.png", without_labels, [])
    save_snapshots(tmp_path / "kept.png", RECORDS, [2, 4])
    three, two, kept = (pixels(tmp_path / f"{name}.png") for name in ("three", "two", "kept"))
    assert three.shape[1] * 2 == two.shape[1] * 3
    assert kept.shape == three.shape
    assert (kept != three).any()
