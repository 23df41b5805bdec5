"""Reads and writes a user's picture file with its alpha, colour profile and EXIF."""

from __future__ import annotations

import io
import struct
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sslcli.archives.file_bytes import read_bytes
from sslcli.data.deep_encoding import encoded_deep, is_deep, require_holds
from sslcli.data.deep_files import read_deep
from sslcli.data.deep_picture import DeepPicture
from sslcli.data.stored_picture import ORIENTATION, is_grey, load_upright, num_frames
from sslcli.data.tiff_picture import is_plain_tiff
from sslcli.errors import SslcliError
from sslcli.files import replacing
from sslcli.preprocessing import full_scale

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"lossless": True, "exact": True}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".npy": ("NPY", {}),
}
"""What can be written, by suffix: PIL's name and how it is encoded.

All but JPEG keep every pixel; PIL cannot write a compressed TIFF with a camera's EXIF.
"""

REFUSED_MODES = {
    "CMYK": "its pixels are amounts of ink (CMYK)",
    "LAB": "its pixels are LAB values",
    "HSV": "its pixels are HSV values",
    "F": "its pixels are floating-point numbers, of unknown range",
}
LAYOUT_TAGS = {
    *range(254, 267), 273, *range(277, 282), 284, 317, *range(320, 326), 330, 338, 339, 347,
    *range(512, 533), 700, 34377, 34675,
}  # fmt: skip
"""EXIF tags that describe how the old file was laid out, or are kept elsewhere.

In a new TIFF they would corrupt it.
"""


@dataclass(frozen=True)
class PictureFile:
    """Holds a picture upright: `pixels` (H, W, C), as a rule uint8, C 1 (grey) or 3.

    `alpha` (H, W) of their type, its largest number = opaque, None where there is none. `exif` says
    that nothing is to be turned any more; `format` is PIL's name of the file's; `notes`: what the
    user should know, a line each; `tags`, `is_unit` as in `DeepPicture`.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None
    icc_profile: bytes | None
    exif: bytes | None
    format: str
    notes: tuple[str, ...] = ()
    tags: tuple[tuple[Any, ...], ...] = ()
    is_unit: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Returns (H, W)."""
        return self.pixels.shape[:2]

    @property
    def opaque(self) -> int:
        """Returns the value of alpha that lets nothing shine through."""
        return full_scale(self.pixels.dtype)

    def require_savable(self, path: Path) -> None:
        """Raises SslcliError where `path`'s format is unknown, or would not hold everything."""
        kind = format_of(path)
        if kind == "NPY" or is_deep(self.pixels):
            require_holds(path, kind, self._deep(self.pixels))
        if kind == "JPEG" and self.alpha is not None and bool((self.alpha < 255).any()):
            raise SslcliError(
                f"{path}: JPEG cannot hold the picture's transparency", "write .png, .webp or .tif"
            )

    def _deep(self, pixels: NDArray[Any]) -> DeepPicture:
        return DeepPicture(pixels, self.alpha, self.tags, icc_profile=self.icc_profile)

    def save(self, path: Path, pixels: NDArray[Any]) -> None:
        """Writes `pixels` (H, W, C) with this file's alpha, colour profile and EXIF.

        Whole or not at all. Raises SslcliError where the suffix's format cannot hold the picture.
        """
        self.require_savable(path)
        name, options = FORMATS[path.suffix.lower()]
        assert pixels.shape == self.pixels.shape, f"{pixels.shape} for {self.pixels.shape}"
        if name == "NPY" or is_deep(pixels):
            content = encoded_deep(name, self._deep(pixels), self.exif)
            with replacing(path, durable=False) as temporary:
                temporary.write_bytes(content)
            return
        keep_alpha = self.alpha is not None and name != "JPEG"
        channels = np.dstack([pixels, self.alpha]) if keep_alpha else pixels  # type: ignore[list-item]
        image = Image.fromarray(channels[..., 0] if channels.shape[2] == 1 else channels)
        kept = {"icc_profile": self.icc_profile, "exif": self.exif}
        options = options | {key: value for key, value in kept.items() if value is not None}
        encoded = io.BytesIO()
        try:
            image.save(encoded, name, **options)
        except (OSError, ValueError, struct.error) as reason:
            message = f"{path} cannot be written as {name}: {reason}"
            raise SslcliError(message, "write .png") from None
        with replacing(path, durable=False) as temporary:
            temporary.write_bytes(encoded.getbuffer())


def format_of(path: Path) -> str:
    """Returns the format of `path`'s suffix; raises SslcliError where it is unknown."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        what = (
            f"pictures cannot be written as {suffix}"
            if suffix
            else "the name has no ending that tells the format"
        )
        raise SslcliError(f"{path}: {what}", f"end it in {', '.join(FORMATS)}")
    return FORMATS[suffix][0]


def suffix_that_holds(source: Path) -> str:
    """Returns how a restored picture's name ends: .png, where a PNG holds all of the picture."""
    suffix = source.suffix.lower()
    if suffix in (".tif", ".tiff"):
        with suppress(OSError):
            return ".png" if is_plain_tiff(read_bytes(source)) else ".tif"
    return ".npy" if suffix in (".npy", ".dcm") else ".png"


def read_picture(path: Path) -> PictureFile:
    """Reads a picture file whole.

    A palette becomes its colours; of an animation the first frame is taken. Raises SslcliError for
    what is missing, is no picture, is damaged, or has pixels of a kind that cannot be kept.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = read_bytes(path)
            deep = read_deep(data)
            if deep is not None:
                return _of_deep(deep, data)
            with Image.open(io.BytesIO(data)) as image:
                return _read(image, path)
    except SslcliError:
        raise
    except FileNotFoundError:
        raise SslcliError(
            f"there is no picture {path}", "see to the name; one with spaces needs quotes"
        ) from None
    except UnidentifiedImageError:
        raise SslcliError(
            f"{path} is not a picture that can be read", "give a PNG, JPEG, WebP or TIFF"
        ) from None
    except Image.DecompressionBombError:
        raise SslcliError(
            f"{path} has too many pixels to be a safe picture", "scale it down"
        ) from None
    except Exception as error:  # a broken file makes PIL raise almost anything
        if isinstance(error, OSError) and error.strerror:
            raise SslcliError(
                f"{path} cannot be read: {error.strerror}", "see to the path and its permissions"
            ) from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SslcliError(
            f"{path} cannot be decoded: {reason}", "the file is damaged: save or copy it anew"
        ) from None


def _read(image: Image.Image, path: Path) -> PictureFile:
    notes = []
    if image.mode in REFUSED_MODES:
        raise SslcliError(
            f"{path}: {REFUSED_MODES[image.mode]}",
            "convert it to 8-bit RGB in the program it comes from",
        )
    frames = num_frames(image)
    if (
        frames > 1 and image.format != "MPO"
    ):  # a telephone's JPEG with a second picture for its depth
        notes.append(f"only the first of its {frames} frames is taken")
    if image.mode.startswith("I"):
        notes.append("its 16 bits a channel become 8")
    upright = load_upright(image)
    icc_profile, exif = image.info.get("icc_profile"), _upright_exif(image)
    pixels, alpha = _split_alpha(upright)
    return PictureFile(pixels, alpha, icc_profile, exif, image.format or "", tuple(notes))


def _of_deep(deep: DeepPicture, data: bytes) -> PictureFile:
    exif = None
    with suppress(Exception), Image.open(io.BytesIO(data)) as image:  # NPY and DICOM have none
        exif = _upright_exif(image)
    return PictureFile(
        deep.pixels, deep.alpha, deep.icc_profile, exif, "", deep.notes, deep.tags, deep.is_unit
    )


def _upright_exif(image: Image.Image) -> bytes | None:
    """Returns the EXIF block of the upright picture; None where none can be read."""
    with suppress(OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error):
        exif = Image.Exif()  # the image's own is still needed to turn it
        exif.load(image.getexif().tobytes())
        for tag in LAYOUT_TAGS & set(exif):
            del exif[tag]
        if ORIENTATION in exif:
            exif[ORIENTATION] = 1
        return exif.tobytes() if exif else None
    return None


def _split_alpha(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Returns the picture as pixels (H, W, C) and alpha (H, W) or None."""
    grey = is_grey(image)
    if "transparency" in image.info or image.mode.lower() in ("la", "pa", "rgba"):
        pixels = np.asarray(image.convert("LA" if grey else "RGBA"))
        return pixels[..., :-1], pixels[..., -1]
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1), None
