"""Writes runs for TensorBoard, into `<run>/tensorboard`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sslcli.runs.lock import HOST
from sslcli.text import shell_path
from sslcli.trackers.tracker import Record, TrackedRun, Tracker


class TensorBoard(Tracker):
    """Writes event files into the run's folder."""

    modules = (
        "tensorboard.compat.proto.event_pb2",
        "tensorboard.compat.proto.summary_pb2",
        "tensorboard.compat.proto.tensor_pb2",
        "tensorboard.summary.writer.record_writer",
    )
    extra = "sslcli[tensorboard]"

    def __init__(self, run: TrackedRun) -> None:
        self._folder = run.folder / "tensorboard"
        self._folder.mkdir(exist_ok=True)
        self._event, self._summary, self._tensor, writer = map(import_module, self.modules)
        name = f"events.out.tfevents.{time.time():.6f}.{HOST}.{os.getpid()}"
        self._file = (self._folder / name).open("xb", buffering=0)
        self._writer = writer.RecordWriter(_Whole(self._file))
        self._write(self._event.Event(wall_time=time.time(), file_version="brain.Event:2"))
        is_first = len(list(self._folder.iterdir())) == 1
        if is_first:
            rows = [(key, str(value)) for key, value in sorted(run.settings.items())]
            self.table("settings", ("setting", "value"), rows, 0)

    @property
    def look(self) -> str:
        return f"tensorboard --logdir {shell_path(self._folder)}"

    def record(self, record: Record) -> None:
        values = [
            self._summary.Summary.Value(tag=name, simple_value=value)
            for name, value in record.values.items()
        ]
        self._add(values, record.step)

    def figure(self, name: str, path: Path, step: int) -> None:
        content = path.read_bytes()
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
        image = self._summary.Summary.Image(
            width=width, height=height, colorspace=4, encoded_image_string=content
        )
        self._add([self._summary.Summary.Value(tag=f"figures/{name}", image=image)], step)

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], step: int
    ) -> None:
        lines = [columns, ["---"] * len(columns), *rows]
        text = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
        plugin = self._summary.SummaryMetadata.PluginData(plugin_name="text")
        tensor = self._tensor.TensorProto(
            dtype="DT_STRING",
            string_val=[text.encode("utf-8", "replace")],
            tensor_shape={"dim": [{"size": 1}]},
        )
        metadata = self._summary.SummaryMetadata(plugin_data=plugin)
        self._add([self._summary.Summary.Value(tag=name, metadata=metadata, tensor=tensor)], step)

    def finish(self, status: str, metrics: Mapping[str, float]) -> None:
        rows = [(name, f"{value:.6g}") for name, value in metrics.items()]
        self.table("end", ("", status), rows, 0)
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def _add(self, values: list[Any], step: int) -> None:
        summary = self._summary.Summary(value=values)
        self._write(self._event.Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())


class _Whole:
    """Writes each record at once, and cuts what a full disk took of it: readers stop there."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, content: bytes) -> None:
        before = self._file.tell()
        try:
            left = memoryview(content)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.seek(before)
            self._file.truncate()
            raise


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
