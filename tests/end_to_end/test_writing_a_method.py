"""docs/writing-a-method.md, from its first line to its last, in an environment of its own."""

from __future__ import annotations

import os
import re
import shlex
import site
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles import facts

PAGE = (Path(__file__).parent.parent.parent / "docs/writing-a-method.md").read_text()
SMALL = [
    "data.limit=64", "batch_size=16", "epochs=1", "encoder.width=4", "knn_every=0",
    "runtime.threads=1",
]  # fmt: skip
"""Words that make the page's trainings short."""
OFFLINE = ["--quiet", "--no-build-isolation", "--no-deps", "--no-index"]


def blocks() -> Iterator[tuple[str, str]]:
    """The language and the content of the page's code blocks, in order."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.M | re.S)


def environment(folder: Path) -> Path:
    """A virtual environment that shares this one's packages, with their commands; returns its bin/."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if path.endswith("site-packages")] or site.getsitepackages()
    lines = [f"import site; site.addsitedir({path!r})" for path in shared]
    (packages / "shared.pth").write_text("\n".join(lines) + "\n")
    for command in ("pip", "pytest", "sslcli"):
        script = folder / "bin" / command
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m {command} "$@"\n')
        script.chmod(0o755)
    return folder / "bin"


def shortened(line: str) -> list[str]:
    """The words of the page's command, and what makes it quick and keeps it off the network."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["pip", "install"]:
        return [*words[:2], *OFFLINE, *words[2:]]
    if words[:2] == ["sslcli", "pretrain"]:
        return [*words, *SMALL]
    return words


@pytest.mark.long
@pytest.mark.slow
def test_the_page_builds_a_method_that_trains_and_passes_its_tests(tmp_path: Path) -> None:
    commands = environment(tmp_path / "environment")
    work = tmp_path / "work"
    work.mkdir()
    outside = ("PYTHONPATH", "VIRTUAL_ENV")
    variables = {key: value for key, value in os.environ.items() if key not in outside}
    variables |= {"PATH": f"{commands}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done: list[str] = []
    for language, content in blocks():
        if language == "python" and "class MyByolConfig" in content:
            name = content.splitlines()[0].removeprefix("# ")
            assert (work / name).exists(), "the page replaces what `sslcli new` wrote"
            (work / name).write_text(content)
        for line in content.splitlines() if language == "sh" else []:
            ran = subprocess.run(
                shortened(line),
                cwd=work,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, f"{line}\n{ran.stdout}\n{ran.stderr}"
            done.append(line)
    assert done.count("pytest sslcli-my-byol") == 2
    runs = sorted((work / "outputs/pretrain").rglob("run.json"))
    assert len(runs) == 3
    assert all(facts(run.parent)["choices"]["method"] == "my_byol" for run in runs)
    assert "momentum: 0.9" in (runs[-1].parent / "config.yaml").read_text()


def test_the_pages_method_is_short() -> None:
    (method,) = (
        content
        for language, content in blocks()
        if language == "python" and "class MyByolConfig" in content
    )
    assert len(method.splitlines()) <= 100
