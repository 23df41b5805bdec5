"""The model card tells what is known, and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

from doubles import Sslcli
from safetensors.torch import save_file

from sslcli.runs.evaluations import read_evaluations
from sslcli.trained.encoder import build_untrained
from sslcli.trained.encoder_files import read_encoder


def test_the_card_tells_what_is_known_and_no_more(
    sslcli: Sslcli, run: Path, tmp_path: Path
) -> None:
    assert sslcli("export", str(run), "--to", "safetensors").status == 0
    card = (run / "export/safetensors/MODEL_CARD.md").read_text()
    facts = json.loads((run / "run.json").read_text())
    for known in (
        facts["identity"],
        facts["data"]["fingerprint"],
        "- method: simclr",
        "- pictures trained on: 32",
    ):
        assert known in card
    assert f"- mean {list(read_encoder(run).preprocessing.mean)}" in card
    assert "Not stated." in card
    assert "Nothing: no evaluation of this run is recorded." in card

    said = sslcli(
        "linear-eval", f"run={run}", "l2=[1e-2,1e-1]", "baselines=false", "runtime.threads=1"
    )
    assert said.status == 0, said.err
    with (run / "evaluations.jsonl").open("a") as evaluations:
        evaluations.write(
            '{"command": "linear-eval", "run": "/gone", "labels": 0.1, "top1": 0.5}\n{"comm'
        )
    words = ["--to", "safetensors", "--force", "--data-licence", "CC BY 4.0,\n# of the museum"]
    assert sslcli("export", str(run), *words).status == 0
    card = (run / "export/safetensors/MODEL_CARD.md").read_text()
    top1 = read_evaluations(run)[0][0].metrics["top1"]
    assert re.search(
        rf"- `linear-eval` \(labels 1.0, seed 0, data the run's own; run .*\): top1 {top1:.4f}, top5",
        card,
    )
    assert (
        "- `linear-eval` (labels 0.1, data not known, its run is gone; run gone): top1 0.5000"
        in card
    )
    assert "- line 3 of evaluations.jsonl cannot be read" in card
    assert "As stated by who exported it: CC BY 4.0, # of the museum" in card
    assert str(tmp_path) not in card


def test_an_encoder_that_was_not_trained_is_called_so(sslcli: Sslcli, run: Path) -> None:
    card = run / "export/safetensors/MODEL_CARD.md"
    assert sslcli("export", str(run), "--to", "safetensors").status == 0
    assert card.read_text().startswith("# convnet, trained by simclr\n")
    save_file(build_untrained(read_encoder(run)).state_dict(), run / "encoder.safetensors")
    assert sslcli("export", str(run), "--to", "safetensors", "--force").status == 0
    assert card.read_text().startswith("# convnet, not trained")
