"""What the trackers keep of a run that was cut and resumed, read back by their own readers, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from doubles import facts
from tracking import draw, write_steps, written_run

from sslcli.runs.folder import Run
from sslcli.tools.track import wait
from sslcli.trackers import couriers
from sslcli.trackers.tracker import TrackedRun

pytestmark = pytest.mark.slow

SWEEP = "2026-11-26_10-00-00-abcdef12"

TENSORBOARD = """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(run + "/tensorboard", {"tensors": 0, "images": 0, "scalars": 0})
found.Reload()
tags = found.Tags()
texts = {tag: found.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in tags["tensors"]}
print(json.dumps({
    "scalars": {tag: [[e.step, e.value] for e in found.Scalars(tag)] for tag in tags["scalars"]},
    "images": {tag: [[e.step, e.width, e.height] for e in found.Images(tag)] for tag in tags["images"]},
    "texts": texts,
}))
"""
MLFLOW = """
import mlflow
client = mlflow.MlflowClient("sqlite:///" + outputs + "/mlflow.db")
experiment = client.get_experiment_by_name("sslcli")
runs = client.search_runs([experiment.experiment_id])
names = {each.info.run_id: each.info.run_name for each in runs}
told = []
for each in runs:
    number = each.info.run_id
    history = {key: [[m.step, m.value] for m in client.get_metric_history(number, key)] for key in each.data.metrics}
    files = [f.path for folder in client.list_artifacts(number) for f in client.list_artifacts(number, folder.path)]
    told.append({
        "name": each.info.run_name, "status": each.info.status, "history": history, "params": each.data.params,
        "files": files, "above": names.get(each.data.tags.get("mlflow.parentRunId")),
    })
print(json.dumps(told))
"""
WANDB = """
import pathlib, struct
from wandb.proto.wandb_internal_pb2 import Record

def records(path):
    content, at, begun = path.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[at:at + 7])
        begun = (b"" if kind in (1, 2) else begun) + content[at + 7:at + 7 + length]
        at += 7 + length
        if kind in (1, 4) and begun:
            yield Record.FromString(begun)

def value(item):
    return json.loads(item.value_json)

told = []
for path in sorted(pathlib.Path(outputs).glob("wandb/offline-run-*-" + key + "/*.wandb")):
    found = {"rows": [], "runs": [], "summary": {}, "exits": []}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            found["rows"].append({i.key or ".".join(i.nested_key): value(i) for i in record.history.item})
        elif kind == "run":
            config = {i.key or ".".join(i.nested_key): value(i) for i in record.run.config.update}
            found["runs"].append([record.run.run_id, record.run.display_name, record.run.run_group, record.run.project, config])
        elif kind == "summary":
            found["summary"].update({i.key or ".".join(i.nested_key): value(i) for i in record.summary.update})
        elif kind == "exit":
            found["exits"].append(record.exit.exit_code)
    told.append(found)
print(json.dumps(told))
"""
TRACKIO = """
import os
os.environ["TRACKIO_DIR"] = outputs + "/trackio"
from trackio.sqlite_storage import SQLiteStorage
told = {}
for name in SQLiteStorage.get_runs("sslcli"):
    told[name] = [SQLiteStorage.get_logs("sslcli", name), SQLiteStorage.get_run_config("sslcli", name)]
print(json.dumps(told, default=str))
"""


def key_of(run: Path) -> str:
    return TrackedRun.of(run, None).key


def read_back(reader: str, run: Path, outputs: Path) -> Any:
    program = f"import json, sys\nrun, outputs, key = sys.argv[1:]\n{reader}"
    command = [sys.executable, "-W", "ignore", "-c", program, str(run), str(outputs), key_of(run)]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=quiet).stdout.decode()
    return json.loads(told.splitlines()[-1])


def with_status(run: Path, status: str, **more: Any) -> None:
    (run / "run.json").write_text(json.dumps({**facts(run), "status": status, **more}))


@pytest.fixture(params=["tensorboard", "mlflow", "wandb", "trackio"])
def name(request: pytest.FixtureRequest) -> str:
    if find_spec(request.param) is None:
        pytest.skip(f"needs {request.param}")
    return str(request.param)


def follow(run: Path, name: str, sweep: str | None) -> None:
    """One session, with much time: what is tested here is not the machine's speed."""
    said: list[str] = []
    started = couriers.start(run, [name], sweep, said.append)
    wait(started, couriers.num_records(run))
    outcomes = couriers.end(started, patience=60)
    assert outcomes[name].complete, (outcomes, (run / f"trackers/{name}.txt").read_text())
    assert said == []


@pytest.fixture
def cut_and_resumed(name: str, tmp_path: Path) -> tuple[Path, Path]:
    """A job of a sweep, and its outputs: stopped after six records, cut to four, and finished with nine."""
    outputs = tmp_path / "out puts"
    run = written_run(outputs / f"pretrain/sweeps/{SWEEP}/000-12345678", status="interrupted")
    follow(run, name, SWEEP)
    write_steps(run, range(1, 5), speed=12.5)
    write_steps(run, range(1, 10), speed=12.5)
    draw(run, "curves", 200)
    draw(run, "parts/features", 90)
    with_status(run, "finished", metrics={"knn_accuracy": 0.75})
    follow(run, name, SWEEP)
    with Run(run):
        pass  # nothing that a tracker left there keeps the run from being opened again
    other = written_run(run.parent / "001-87654321", steps=2, started=2e9)
    follow(other, name, SWEEP)
    return run, outputs


LOSS = [[step, pytest.approx(1 / step)] for step in range(1, 10)]


def test_a_resumed_run_is_one_run_without_doubled_steps(
    name: str, cut_and_resumed: tuple[Path, Path]
) -> None:
    run, outputs = cut_and_resumed
    checks = {
        "tensorboard": check_tensorboard, "mlflow": check_mlflow, "wandb": check_wandb, "trackio": check_trackio,
    }  # fmt: skip
    checks[name](run, outputs)


def check_tensorboard(run: Path, outputs: Path) -> None:
    found = read_back(TENSORBOARD, run, outputs)
    assert found["scalars"]["pretrain/loss"] == LOSS
    assert [step for step, _ in found["scalars"]["pretrain/images_per_second"]] == list(
        range(1, 10)
    )
    assert found["images"]["figures/curves"] == [[6, 6, 4], [9, 6, 4]]
    assert found["images"]["figures/parts/features"] == [[9, 6, 4]]
    assert "| a, b | 5 | 1 |" in found["texts"]["confusion"]
    assert "| method | simclr |" in found["texts"]["settings"]
    assert "knn_accuracy | 0.75" in found["texts"]["end"]


def check_mlflow(run: Path, outputs: Path) -> None:
    found = {each["name"]: each for each in read_back(MLFLOW, run, outputs)}
    assert len(found) == 3, "two jobs, and the sweep above them"
    mine = found[f"{SWEEP}/000-12345678"]
    assert mine["history"]["pretrain/loss"] == LOSS
    assert mine["history"]["knn_accuracy"] == [[0, 0.75]]
    assert mine["status"] == "FINISHED"
    assert mine["params"]["method"] == "simclr"
    assert sorted(mine["files"]) == ["figures/curves.png", "figures/parts", "tables/confusion.csv"]
    assert {each["above"] for each in found.values()} == {None, SWEEP}
    assert found[SWEEP]["above"] is None


def check_wandb(run: Path, outputs: Path) -> None:
    first, second = read_back(WANDB, run, outputs)
    rows = [row for row in first["rows"] + second["rows"] if "pretrain/loss" in row]
    assert [[row["pretrain/step"], row["pretrain/loss"]] for row in rows] == LOSS
    steps = [row["_step"] for row in first["rows"] + second["rows"]]
    assert steps == sorted(set(steps)), "wandb drops what goes back"
    (one, shown, group, project, config), *_ = first["runs"]
    assert one == second["runs"][0][0]
    assert (shown, group, project) == (f"{SWEEP}/000-12345678", SWEEP, "sslcli")
    assert config["method"] == "simclr"
    assert second["summary"]["knn_accuracy"] == 0.75
    assert (first["exits"], second["exits"]) == ([1], [0])
    assert any(key.startswith("figures/curves") for row in second["rows"] for key in row)
    assert len(list(outputs.glob(f"wandb/*-{key_of(run)}/files/media/images/figures/*.png"))) == 2
    assert (
        len(list(outputs.glob(f"wandb/*-{key_of(run)}/files/media/images/figures/parts/*.png")))
        == 1
    )
    assert len(list(outputs.glob(f"wandb/*-{key_of(run)}/files/media/table/tables/*.json"))) == 1


def check_trackio(run: Path, outputs: Path) -> None:
    found = read_back(TRACKIO, run, outputs)
    assert len(found) == 2
    logs, config = next(
        each for key, each in found.items() if key.startswith(f"{SWEEP}-000-12345678-")
    )
    rows = [row for row in logs if "pretrain/loss" in row]
    assert [[row["step"], row["pretrain/loss"]] for row in rows] == LOSS
    assert config["_Group"] == SWEEP
    assert config["method"] == "simclr"
    assert [row["knn_accuracy"] for row in logs if "knn_accuracy" in row] == [0.75]
    assert sum("figures/curves" in row for row in logs) == 2
    assert sum("tables/confusion" in row for row in logs) == 1


FULL_DISK = """
import resource
from pathlib import Path
from sslcli.trackers.tensorboard import TensorBoard
from sslcli.trackers.tracker import Record, TrackedRun

described = TrackedRun.of(Path(run), None)
mine, refused = TensorBoard(described), 0
size = sum(path.stat().st_size for path in Path(run, "tensorboard").iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))
for index in range(40):
    record = Record(index, "pretrain", index + 1, 0.0, {"pretrain/loss": 1 / (index + 1)})
    try:
        mine.record(record)
    except OSError:
        refused += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        if key == "reopened":
            mine.close()
            mine = TensorBoard(described)
        mine.record(record)
print(refused)
"""


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs tensorboard")
@pytest.mark.skipif(find_spec("resource") is None, reason="needs limits of a file's size")
@pytest.mark.parametrize("how", ["reopened", "gone on with"])
def test_a_half_written_event_hides_none_that_follows(tmp_path: Path, how: str) -> None:
    run = written_run(tmp_path / "outputs/pretrain/x/run")
    assert read_back(f"key = {how!r}\n{FULL_DISK}", run, tmp_path) == 1, "the disk was full once"
    found = read_back(TENSORBOARD, run, tmp_path)
    assert found["scalars"]["pretrain/loss"] == [[n, pytest.approx(1 / n)] for n in range(1, 41)]
