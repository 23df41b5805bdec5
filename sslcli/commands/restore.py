"""`sslcli restore RUN PICTURE…`: a trained run fills holes in your own pictures (--mask), or takes the noise out of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from inspect import signature
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sslcli.commands.arguments import add_outputs, parse
from sslcli.commands.groups import groups
from sslcli.commands.output_files import require_free
from sslcli.commands.picture_jobs import Hidden, mask_reader, planned, prepared
from sslcli.console import Console
from sslcli.data.picture_file import format_of
from sslcli.engine.run import read_facts, resolve_run
from sslcli.engine.runtime import DeviceChoice, Precision, RuntimeConfig
from sslcli.errors import SslcliError
from sslcli.method import Method, MethodConfig, Restorer
from sslcli.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
"""(H, W, C), C 1 or 3."""


def main(arguments: list[str], console: Console) -> int:
    """Exit status 0 when every picture was restored, 1 when some had to be left out."""
    given = parse(_parser(), arguments)
    sources = [Path(word).expanduser() for word in given.pictures]
    mask_of = None if given.mask is None else mask_reader(given.mask)
    jobs = planned(sources, given.output)
    require_free([job.target for job in jobs], given.force)
    run = restoring_run(given.run, Path(given.outputs))
    if any(format_of(job.target) == "JPEG" for job in jobs):
        console.warn("JPEG changes every pixel a little, outside a mask too; a .png keeps them as they are")

    alone = len(sources) == 1 and not sources[0].is_dir()
    restore: Callable[[Pixels, Hidden], Pixels] | None = None
    done: list[Path] = []
    for job in jobs if alone else console.track(jobs, total=len(jobs), label="restoring pictures"):
        try:
            picture, hidden = prepared(job, mask_of)
        except SslcliError as error:
            if alone:
                raise
            console.warn(f"left out: {error.message}")
            continue
        for note in picture.notes:
            console.warn(f"{job.source}: {note}")
        restore = restore or loaded(run, DeviceChoice[given.device])  # now, because it takes seconds
        pixels = restore(picture.pixels, hidden)
        job.target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(job.target, pixels)
        done.append(job.target)
    if alone:
        console.say(f"restored: {jobs[0].target}")
    else:
        where = f", in {commonpath([target.parent.absolute() for target in done])}" if done else ""
        console.say(f"restored: {len(done)} of {len(jobs)} pictures{where}")
    return 0 if len(done) == len(jobs) else 1


def _parser() -> argparse.ArgumentParser:
    usage = "sslcli restore RUN PICTURE... [--mask MASK] [--output PATH] [--force] [--device DEVICE] [--outputs FOLDER]"
    parser = argparse.ArgumentParser(prog="sslcli restore", usage=usage, description=__doc__)
    parser.add_argument(
        "run", help="the run's folder, the beginning of its name, or `last`: the newest finished one that can restore"
    )
    parser.add_argument("pictures", nargs="+", metavar="picture", help="a picture, or a folder searched for pictures")
    parser.add_argument(
        "--mask",
        help="what is to be filled: a picture of the same size, white there; a folder of such, named as the pictures are; "
        "`alpha`: all that is not opaque; a colour, in quotes: '#ff00ff': what has exactly it. Without: everything is "
        "restored (denoised)",
    )
    parser.add_argument(
        "--output",
        help="the file to write, for one picture (.png .webp .tif .jpg), or a folder "
        "(default: NAME_restored.png beside the picture, or the folder NAME_restored)",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite what is there; never a picture that is being restored"
    )
    parser.add_argument("--device", choices=[choice.name for choice in DeviceChoice], default="auto")
    add_outputs(parser)
    return parser


def restoring_run(name: str, outputs: Path) -> Path:
    """The run that `name` names. Raises SslcliError, without loading it, where its method restores nothing."""
    run = resolve_run(
        name, outputs, " that can restore pictures", lambda found: _finished(found) and _can_restore(found)
    )
    if not _can_restore(run):
        facts = read_facts(run)
        method = facts.get("choices", {}).get("method")
        raise _cannot_restore(run, f"was trained by {method}" if method else f"is a run of {facts.get('command')}")
    return run


def _finished(run: Path) -> bool:
    try:
        return bool(read_facts(run).get("status") == "finished")
    except SslcliError:  # damaged
        return False


def _can_restore(run: Path) -> bool:
    method = str(read_facts(run).get("choices", {}).get("method"))
    config = groups([method])["method"].get(method)
    return config is not None and restores(config)


def restores(config: type[MethodConfig]) -> bool:
    """Whether the method that `build` says it returns is a Restorer: nothing is built, torch is not imported."""
    promised = signature(config.build).return_annotation
    if isinstance(promised, str):
        promised = getattr(sys.modules[config.build.__module__], promised, None)
    return isinstance(promised, type) and issubclass(promised, Restorer)


def _cannot_restore(run: Path, reason: str) -> SslcliError:
    able = [name for name, config in METHODS.items() if restores(config)]
    return SslcliError(f"{run} {reason}: it cannot restore pictures", f"name a run of {' or '.join(able)}")


def loaded(run: Path, device: DeviceChoice) -> Callable[[Pixels, Hidden], Pixels]:
    """The run's method as a function of a picture of any size; what is not hidden stays as it is."""
    import torch

    from sslcli.commands.method_files import read_method
    from sslcli.engine.device import Compute
    from sslcli.evaluation.tiling import restored

    compute = Compute.choose(RuntimeConfig(device=device, precision=Precision.fp32))
    method: Method = read_method(run)
    if not isinstance(method, Restorer):
        raise _cannot_restore(run, f"holds a {type(method).__name__}")
    for module in method.modules().values():
        compute.place(module)
        module.eval()

    def tiles(damaged: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        return method.restore(damaged.to(compute.device), hidden.to(compute.device)).float().cpu()

    def restore(pixels: Pixels, hidden: Hidden) -> Pixels:
        picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div_(255)
        mask = torch.from_numpy(hidden)[None]
        # What reads the pixels under the mask sees no hole in them: all are restored, and the mask says which are taken.
        mask = torch.ones_like(mask) if method.reads_hidden() else mask
        with torch.no_grad():
            parts = [
                restored(part, mask, tiles, method.preprocessing.resolution)
                for part in _fed(picture, method.preprocessing.channels)
            ]
        result = torch.cat(parts)
        if len(result) != len(picture):  # a grey picture that was given as a coloured one
            result = result.mean(dim=0, keepdim=True)
        new = result.mul_(255).round_().clamp_(0, 255).byte().permute(1, 2, 0).numpy()
        return np.where(hidden[..., None], new, pixels)

    return restore


def _fed(picture: Tensor, channels: int) -> Iterable[Tensor]:
    """A picture (C, H, W) as the pictures of `channels` that a network can take: to a grey network every colour is a grey
    picture, to a network of colours a grey picture is one of three equal colours."""
    if channels == len(picture):
        return [picture]
    return picture[:, None] if channels == 1 else [picture.expand(channels, -1, -1)]
