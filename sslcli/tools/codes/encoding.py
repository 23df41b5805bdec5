"""Encodes pictures by a run, and writes them as a file of codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sslcli.data.images import evenly_spaced
from sslcli.data.resize import at_resolution
from sslcli.engine.runtime_config import DeviceChoice
from sslcli.errors import SslcliError
from sslcli.evaluation.quantization import Codes, Quantizer
from sslcli.evaluation.restoration import psnr
from sslcli.method import as_pictures
from sslcli.runs.folder import read_facts
from sslcli.tools.codes.pictures import Source
from sslcli.trained.code_file import CodeFile, Origin, Picture
from sslcli.trained.coder import BATCH, Coder, load_coder
from sslcli.trained.data import load_own_data
from sslcli.trained.encoder_files import EncoderFiles, read_encoder
from sslcli.trained.picture_reader import PictureReader

if TYPE_CHECKING:
    from sslcli.console import Console

NUM_TRAINING = 5_000
"""Training pictures, at most, whose codes say how far every number reaches."""
MUCH = 0.01
"""The part of the numbers outside these ranges from which on the user is told."""


@dataclass(frozen=True)
class Encoding:
    """Says how pictures are encoded: by which run, in how many bits a number; None: exactly."""

    run: Path
    bits: int | None
    device: DeviceChoice
    data_root: str | None = None


def encode(encoding: Encoding, sources: Sequence[Source], target: Path, console: Console) -> int:
    """Writes the file of codes; returns 1 where a picture was left out, else 0.

    Raises SslcliError where none is left, or a picture that was given alone cannot be read.
    """
    files = read_encoder(encoding.run)
    reader = PictureReader.of(files)
    coder = load_coder(encoding.run, encoding.device)
    quantizer = None
    if encoding.bits is not None:
        codes = training_codes(coder, files, console, encoding.data_root)
        quantizer = Quantizer.of(codes, encoding.bits)
    pictures, blocks, errors = [], [], []
    for named, images in _read(reader, sources, console):
        codes = coder.encode_images(images).flatten(1).numpy()
        pictures += named
        blocks.append(codes)
        errors.append(_psnr(coder, images, codes, quantizer))
    if not pictures:
        raise SslcliError("no picture could be read", "see to the warnings above")
    origin = origin_of(coder, encoding.run, reader)
    file = CodeFile(origin, tuple(pictures), np.concatenate(blocks), quantizer)
    file.write(target)
    _report(file, target, np.concatenate(errors), console)
    return 0 if len(pictures) == len(sources) else 1


def training_codes(
    coder: Coder, files: EncoderFiles, console: Console, data_root: str | None = None
) -> Codes:
    """Returns the codes (N, D) of pictures that the run was trained on, evenly spaced."""
    splits = load_own_data(files, console.track, data_root)
    own = at_resolution(splits.pretraining, files.preprocessing.resolution)
    images = own.subset(evenly_spaced(len(own), NUM_TRAINING)).images
    codes: Codes = coder.encode_images(images).flatten(1).numpy()
    return codes


def origin_of(coder: Coder, run: Path, reader: PictureReader) -> Origin:
    """Returns whose codes they are."""
    facts, framing = read_facts(run), reader.options.framing
    return Origin(
        run=run.absolute().name,
        identity=str(facts.get("identity")),
        method=str(facts.get("choices", {}).get("method", facts.get("command"))),
        weights=coder.weights(),
        code_shape=coder.code_shape,
        picture_shape=coder.picture_shape,
        shape=framing.shape.name,
        fill=framing.fill,
        range=coder.method.preprocessing.range,
    )


def _read(
    reader: PictureReader, sources: Sequence[Source], console: Console
) -> Iterator[tuple[list[Picture], NDArray[Any]]]:
    """Yields pictures block by block, and says at the end what became of some."""
    notes: Counter[str] = Counter()
    named: list[Picture] = []
    pixels: list[NDArray[Any]] = []
    alone = len(sources) == 1
    label = "encoding pictures"
    for source in sources if alone else console.track(sources, total=len(sources), label=label):
        try:
            found = reader(source.path)
        except SslcliError as error:
            if alone:
                raise
            console.warn(f"left out: {error.message}")
            continue
        notes.update(found.notes)
        named.append(Picture(source.name, found.width, found.height))
        pixels.append(found.pixels)
        if len(named) == BATCH:
            yield named, np.stack(pixels)
            named, pixels = [], []
    if named:
        yield named, np.stack(pixels)
    for note, count in notes.items():
        console.warn(f"{count:,} of {len(sources):,} pictures are {note}")


def _psnr(
    coder: Coder, images: NDArray[Any], codes: Codes, quantizer: Quantizer | None
) -> NDArray[np.float64]:
    """Returns how near the decoded pictures come, in dB, (N,)."""
    kept = codes if quantizer is None else quantizer.values(quantizer.levels(codes))
    decoded = coder.decode(torch.from_numpy(kept).view(-1, *coder.code_shape))
    truth = as_pictures(torch.from_numpy(images))
    everywhere = torch.ones_like(truth[:, :1], dtype=torch.bool)
    return psnr(decoded, truth, everywhere).double().numpy()


def _report(file: CodeFile, target: Path, psnrs: NDArray[np.float64], console: Console) -> None:
    num, (_, height, width) = len(file.pictures), file.origin.picture_shape
    total, held = target.stat().st_size, file.code_bytes()
    bits = 8 * held / (num * height * width)
    console.say(
        f"encoded: {num:,} picture{'' if num == 1 else 's'}, {total:,} bytes: {held:,} of codes "
        f"({bits:.3g} bits a pixel of {height} x {width}), {total - held:,} of names and ranges"
    )
    console.say(f"decoded, at {height} x {width}: PSNR {psnrs.mean():.2f} dB")
    if file.quantizer is not None:
        outside = file.quantizer.share_outside(file.codes)
        if outside > MUCH:
            console.warn(
                f"{100 * outside:.1f} % of the numbers lie outside what training pictures have, "
                "and were cut to it: these pictures are unlike those; --bits 32 cuts none"
            )
    console.say(f"written: {target}")
