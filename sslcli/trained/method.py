"""Builds a run's method, and loads its trained state."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from sslcli.choices import Misfit, answerable
from sslcli.config import Groups
from sslcli.errors import SslcliError
from sslcli.generators import seed_generators
from sslcli.method import LabelReader, Method, MethodConfig, Preprocessing
from sslcli.methods import METHODS
from sslcli.nets.encoder import Encoder
from sslcli.nets.encoder_config import EncoderConfig
from sslcli.nets.encoders import ENCODERS
from sslcli.nets.state import load_state
from sslcli.runs.checkpoint import read_checkpoint
from sslcli.saved import Saved, group_to_config, read
from sslcli.seeding import derive_seed
from sslcli.text import first_line
from sslcli.trained.encoder import build_initial, load_trained
from sslcli.trained.encoder_files import EncoderFiles, read_encoder

PHASE = "pretrain"
"""The phase of a run in which a method is trained."""


def build_method(
    method: MethodConfig, encoder: EncoderConfig, preprocessing: Preprocessing, seed: int
) -> Method:
    """Returns the untrained method, on the CPU, its encoder for what it is fed.

    Raises SslcliError where an installed package's method or encoder fails, or is none, or where
    pictures of this size are smaller than the views.
    """
    shape = method.fed(preprocessing)
    built = build_initial(encoder, shape.channels, shape.resolution, seed)
    return method_of(method, built, shape, seed)


def method_of(
    method: MethodConfig, encoder: Encoder, preprocessing: Preprocessing, seed: int
) -> Method:
    """Returns the method around an encoder, its other parts untrained, on the CPU.

    Raises SslcliError where an installed package's method fails, or is none.
    """
    seed_generators(derive_seed(seed, "method"))
    with answerable(METHODS, method):
        learner = method.build(encoder, preprocessing)
        _require_method(learner, f"{type(method).__name__}.build")
    return learner


def _require_method(learner: object, build: str) -> None:
    """Raises Misfit unless `build` gave a method that defines what it must."""
    name = type(learner).__name__
    if not isinstance(learner, Method):
        message = f"{build} returns {name}, no Method"
        raise Misfit(message, "let it return one, of a class derived from sslcli.method.Method")
    if not hasattr(learner, "__dataclass_fields__"):
        raise Misfit(f"{name} is no dataclass, and so has no parts", f"put @dataclass above {name}")
    lacking = [part for part in ("encoder", "preprocessing") if not hasattr(learner, part)]
    if lacking:
        raise Misfit(f"{name} has no {' and no '.join(lacking)}", "make that a field, and fill it")
    views = "views_of" if isinstance(learner, LabelReader) else "views"
    base = LabelReader if isinstance(learner, LabelReader) else Method
    undefined = [n for n in (views, "train_step") if getattr(type(learner), n) is getattr(base, n)]
    if undefined:
        raise Misfit(f"{name} defines no {' and no '.join(undefined)}", f"write it in class {name}")


def read_method(folder: Path) -> Method:
    """Returns a run's trained method, in eval mode on the CPU.

    The run is one of `pretrain` or `inpaint`. Raises SslcliError where the run has none, is not
    finished, or its files are damaged.
    """
    saved = _saved_with_method(folder)
    checkpoint = folder / PHASE / "last.pt"
    files = read_encoder(folder)
    if not checkpoint.exists():
        message = f"{folder} has no {PHASE}/last.pt: only its encoder is left"
        raise SslcliError(message, "restore the file from a copy")
    method = _untrained(saved, files.preprocessing)
    modules = nn.ModuleDict(method.modules())
    try:
        load_state(modules, read_checkpoint(checkpoint)["state"]["modules"])
    except (ValueError, RuntimeError) as reason:
        message = f"{checkpoint} does not fit the run's config.yaml: {first_line(reason, 1000)}"
        raise SslcliError(message, "put both back as the run wrote them") from None
    modules.eval().requires_grad_(False)
    return method


def method_around(files: EncoderFiles) -> Method:
    """Returns the run's method with this encoder in it, in eval mode on the CPU.

    Its other parts are untrained, as nothing keeps them with a snapshot; its views need none.
    Raises SslcliError where the run trained no method, or its files are damaged.
    """
    method = _untrained(_saved_with_method(files.folder), files.preprocessing)
    method.encoder.load_state_dict(load_trained(files).state_dict())
    nn.ModuleDict(method.modules()).eval().requires_grad_(False)
    return method


def _saved_with_method(folder: Path) -> Saved:
    saved = read(folder / "config.yaml")
    if "method" not in saved.choices:
        message = f"{folder} is a run of {saved.command}, which trains no method"
        raise SslcliError(message, "name a run of pretrain or inpaint")
    return saved


def _untrained(saved: Saved, preprocessing: Preprocessing) -> Method:
    groups: Groups = {"method": METHODS, "encoder": ENCODERS}
    config, encoder = (group_to_config(group, saved, groups) for group in groups)
    return build_method(config, encoder, preprocessing, int(saved.values["seed"]))
