"""Writes the model card beside an exported encoder.

It states what is known of the encoder, and nothing that was not measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sslcli.choices import name_in
from sslcli.config import values_of
from sslcli.errors import SslcliError
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.nets.vit_config import ViTConfig
from sslcli.preprocessing import Preprocessing
from sslcli.runs.evaluations import Evaluation, read_evaluations
from sslcli.runs.folder import read_facts
from sslcli.saved import read
from sslcli.text import package_version
from sslcli.tools.export.format import Format
from sslcli.tools.export.verify import Difference
from sslcli.trained.encoder import was_trained
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

CARD = """\
# {title}

An image encoder of sslcli's. It makes {width} numbers, the features, of a picture.

## How to load it

`{file}`: {holds}.

```python
{snippet}```

Loaded back before it was kept: the largest difference from the run's own features is {difference}.

## Preprocessing

{preprocessing}

## Training

{training}

## Measured

{measured}

## Licence of the data

{licence}

## Versions

{versions}
"""


def model_card(
    source: EncoderFiles, chosen: Format, difference: Difference, data_licence: str | None
) -> str:
    """Returns the card as Markdown, with the licence as the user states it."""
    facts = read_facts(source.folder)
    encoder = name_in(ENCODERS, source.config)
    method = facts.get("choices", {}).get("method") or facts.get("command", "an unknown method")
    trained = was_trained(source)
    return chosen.front + CARD.format(
        title=f"{encoder}, trained by {method}{_after(source)}"
        if trained
        else f"{encoder}, not trained: its weights are random",
        width=difference.width,
        file=chosen.files(source)[0],
        holds=chosen.holds,
        snippet=chosen.snippet(source),
        difference=difference,
        preprocessing=_preprocessing(source),
        training=_list(_training(source, facts, encoder)),
        measured="\n".join(_list_evaluations(source))
        or "Nothing: no evaluation of this run is recorded.",
        licence=f"As stated by who exported it: {_one_line(data_licence)}"
        if data_licence
        else "Not stated.",
        versions=_list(_versions(chosen, facts)),
    )


def _preprocessing(source: EncoderFiles) -> str:
    shape = source.preprocessing
    kind = {1: "grey", 3: "RGB"}.get(shape.channels, f"{shape.channels} channels")
    size = f"{shape.resolution} x {shape.resolution}"
    return (
        f"Pictures are the middle square, at {size} pixels (bicubic, antialiased), {kind}, "
        f"laid out (N, {shape.channels}, {shape.resolution}, {shape.resolution}), "
        f"float32 in [0, 1]{_meaning(shape)}. The encoder was trained on them minus the mean, "
        "over the standard deviation, channel by channel:\n\n"
        f"- mean {list(shape.mean)}\n- standard deviation {list(shape.std)}"
    )


def _meaning(shape: Preprocessing) -> str:
    """Says which values of the files were 0 and 1, where these are not 0 and 255."""
    if shape.range is None:
        return ""
    low, high = shape.range
    return f": {low:g} of the files is 0, {high:g} is 1, what lies outside is cut to that"


def _training(source: EncoderFiles, facts: dict[str, Any], encoder: str) -> dict[str, Any]:
    choices, data = facts.get("choices", {}), facts.get("data", {})
    config = values_of(source.config)
    settings = ", ".join(f"{key}={json.dumps(value)}" for key, value in config.items())
    return {
        "data": choices.get("data"),
        "fingerprint of the data": data.get("fingerprint"),
        **(
            {"labels learned from": source.labels}
            if source.labels
            else {"pictures trained on": data.get("pictures")}
        ),
        "command": facts.get("command"),
        "method": choices.get("method"),
        "encoder": f"{encoder} ({settings})",
        "seed": source.seed,
        "run": source.folder.absolute().name,
        "identity of its config (a hash)": facts.get("identity"),
        "status": facts.get("status"),
    }


def _after(source: EncoderFiles) -> str:
    """Returns the words that tell a snapshot from the finished encoder."""
    return "" if source.epoch is None else f", as it was after epoch {source.epoch}"


def _list_evaluations(source: EncoderFiles) -> list[str]:
    """Returns a line for every evaluation of this encoder that was recorded in the run."""
    evaluations, unreadable = read_evaluations(source.folder)
    pools, trained = _pool(source.config), read_encoder(source.folder, source.epoch).config
    own = [
        one
        for one in evaluations
        if one.settings.get("epoch") == source.epoch
        and one.settings.get("pool", _pool(trained)) == pools
    ]
    return [*map(_evaluation, own), *(f"- {message}" for message in unreadable)]


def _pool(config: EncoderConfig) -> str | None:
    """Names which features of a vit are meant; None of another encoder, which has one kind."""
    return config.pool.name if isinstance(config, ViTConfig) else None


def _evaluation(evaluation: Evaluation) -> str:
    folder = Path(evaluation.run)
    settings = {**evaluation.settings, **_conditions(folder)}
    about = ", ".join(f"{key} {value}" for key, value in settings.items())
    scores = ", ".join(f"{key} {value:.4f}" for key, value in evaluation.metrics.items())
    return f"- `{evaluation.command}` ({about}; run {folder.name}): {scores}"


def _conditions(evaluation: Path) -> dict[str, Any]:
    """Returns an evaluation's data and layer, which its line does not state."""
    try:
        saved = read(evaluation / "config.yaml")
    except SslcliError:
        return {"data": "not known, its run is gone"}
    layer = saved.values.get("layer")
    return {
        "data": saved.choices.get("data", "the run's own"),
        **({} if layer is None else {"layer": layer}),
    }


def _versions(chosen: Format, facts: dict[str, Any]) -> dict[str, Any]:
    names = ("sslcli", "torch", "torchvision", "safetensors", *chosen.packages)
    environment = facts.get("environment", {})
    trained = {
        **environment.get("packages", {}),
        "python": environment.get("python"),
        "commit": environment.get("git"),
    }
    exported = {name: package_version(name) for name in names}
    return {
        f"{done} with": ", ".join(f"{name} {value}" for name, value in versions.items() if value)
        for done, versions in (("trained", trained), ("exported", exported))
    }


def _list(entries: dict[str, Any]) -> str:
    return "\n".join(
        f"- {name}: {'not recorded' if value in (None, '') else value}"
        for name, value in entries.items()
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
