"""The notebook of the docs runs as it stands, in a kernel as Jupyter starts one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
NOTEBOOK = Path(__file__).parent.parent.parent / "docs/notebook.ipynb"
EXECUTE = """
import sys, nbclient, nbformat
book = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(book, timeout=300).execute()
nbformat.write(book, sys.argv[1])
"""


@pytest.mark.long
def test_the_notebook_runs_and_shows_curves(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[dev]'")
    for module in ("nbclient", "ipykernel", "pandas"):
        pytest.importorskip(module, reason="pip install -e '.[dev]'")
    copy = Path(shutil.copy(NOTEBOOK, tmp_path))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, copy.name],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in nbformat.read(copy, 4).cells if cell.cell_type == "code"]
    by_source = {cell.source: cell.outputs for cell in cells}
    assert len(by_source) == len(cells) == 12
    assert all(outputs for source, outputs in by_source.items() if not source.startswith("!"))
    run, runs = (data(by_source, end)["text/html"] for end in ("\nrun", "\nruns"))
    assert ": pretrain</b> · finished" in run
    for html in (run, runs):
        assert html.count("data:image/png;base64,") == 1
    assert "image/png" in data(by_source, '["views"]')
    assert data(by_source, "(noise).shape")["text/plain"] == "torch.Size([4, 1024])"
    assert data(by_source, '"top1"]]')["text/plain"].count("linear-eval") == 1
    (mistake,) = by_source['sslcli.open_run("nothing")']
    assert len(mistake.traceback) == 2
    assert mistake.traceback[0].startswith("error: no run is named 'nothing'")


def data(by_source: dict[str, Any], end: str) -> Any:
    """What the first cell whose source ends so was shown as."""
    outputs = next(outputs for source, outputs in by_source.items() if source.endswith(end))
    return outputs[-1]["data"]


def test_importing_sslcli_imports_nothing_slow() -> None:
    slow = "{'torch', 'pandas', 'numpy', 'PIL', 'matplotlib', 'omegaconf'}"
    code = f"import sys, sslcli; sslcli.runs; assert not {slow} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
