"""Installed as a wheel it finds conf/ from any folder; a method of another package is found by its name."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from doubles import SHIFT

ROOT = Path(__file__).parent.parent.parent
PIP = [
    sys.executable,
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-build-isolation",
    "--no-index",
    "--disable-pip-version-check",
]

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "tiny-shift"
version = "1.0"
[project.entry-points."sslcli.methods"]
tiny_shift = "tiny_shift:ShiftConfig"
broken = "tiny_shift:Nothing"
[tool.setuptools]
py-modules = ["tiny_shift"]
"""


def sslcli(*words: str, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-m", "sslcli", *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.slow
def test_a_wheel_carries_all_it_needs_and_works_from_any_folder(
    wheel: Path, tmp_path: Path
) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    carried = {
        name.removeprefix("sslcli/conf/") for name in names if name.startswith("sslcli/conf/")
    }
    there = [path for path in (ROOT / "conf").rglob("*") if path.suffix in (".yaml", ".py")]
    assert carried == {str(path.relative_to(ROOT / "conf")) for path in there}
    assert "sslcli/data/fashion_12k.npz" in names
    assert "sslcli/data/fashion_12k.LICENSE" in names
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "sslcli").rglob("*.jinja")}
    assert templates
    assert templates <= set(names)
    subprocess.run([*PIP, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    (tmp_path / "anywhere").mkdir()
    done = sslcli("pretrain", "--cfg", "job", path=tmp_path / "site", cwd=tmp_path / "anywhere")
    assert "temperature" in done.stdout, done.stderr
    where = subprocess.run(
        [sys.executable, "-c", "import sslcli; print(sslcli.__file__)"],
        capture_output=True, text=True, check=True, cwd=tmp_path / "anywhere",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert where.stdout.startswith(str(tmp_path / "site"))


def test_editable_works_from_any_folder(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "sslcli", "pretrain", "--cfg", "job"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert "temperature" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_method_from_an_installed_package(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "tiny_shift.py").write_text(SHIFT)
    site = tmp_path / "site"
    subprocess.run([*PIP, "--target", str(site), str(project)], check=True)

    words = [
        "pretrain",
        "method=tiny_shift",
        "data.limit=64",
        "batch_size=32",
        "epochs=1",
        "encoder.width=4",
        "knn_every=0",
    ]
    done = sslcli(*words, "method.shift=0.25", path=site, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = (path.parent for path in (tmp_path / "outputs").rglob("run.json"))
    assert run.parent.name == "tiny_shift-fashion_sample"
    assert "shift: 0.25" in (run / "config.yaml").read_text()
    assert "tiny_shift" in sslcli("list", "methods", path=site, cwd=tmp_path).stdout
    again = sslcli("rerun", "last", path=site, cwd=tmp_path)
    assert "identical" in again.stdout, again.stderr
    mistaken = sslcli("pretrain", "method=tiny_shif", path=site, cwd=tmp_path)
    assert "did you mean tiny_shift?" in mistaken.stderr
    broken = sslcli("pretrain", "method=broken", path=site, cwd=tmp_path)
    assert broken.returncode == 2
    assert "the method 'broken' of tiny-shift 1.0 cannot be imported" in broken.stderr
