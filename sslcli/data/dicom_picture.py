"""Reads DICOM pictures through pydicom, with their rescaling and their window."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslcli.data.deep_picture import DeepPicture, MissingPackage
from sslcli.data.values import to_unit
from sslcli.preprocessing import Range


def read_dicom(data: bytes, range_: Range | None) -> DeepPicture:
    """Returns the picture: colours as they are, grey as float32 from 0, black, to 1, white.

    Black and white are `range_`, or else the ends of the first window, or else of what the stored
    bits can hold.
    MONOCHROME1, whose 0 is white, is inverted. Raises ValueError for several frames, or where
    pydicom is missing.
    """
    try:
        import pydicom
    except ImportError:
        raise MissingPackage("pydicom", "dicom") from None
    found: Any = pydicom.dcmread(io.BytesIO(data))
    values: NDArray[Any] = found.pixel_array
    if int(getattr(found, "NumberOfFrames", 1)) > 1:
        raise ValueError(f"it has {found.NumberOfFrames} frames: save each as a file of its own")
    if int(found.SamplesPerPixel) > 1:
        if found.PhotometricInterpretation != "RGB":
            raise ValueError(f"its colours are {found.PhotometricInterpretation}: save it as RGB")
        return DeepPicture(values)
    if not str(found.PhotometricInterpretation).startswith("MONOCHROME"):
        kind = found.PhotometricInterpretation
        raise ValueError(f"its values are {kind}, which are no brightness: save it as RGB")
    slope = float(getattr(found, "RescaleSlope", 1) or 1)
    intercept = float(getattr(found, "RescaleIntercept", 0) or 0)
    ends = range_ or _ends(found, slope, intercept)
    unit = to_unit(values.astype(np.float64) * slope + intercept, ends)
    if found.PhotometricInterpretation == "MONOCHROME1":
        unit = np.float32(1) - unit
    return DeepPicture(unit[..., None], is_unit=True)


def _ends(found: Any, slope: float, intercept: float) -> Range:
    """Returns the rescaled values that mean black and white."""
    width, centre = (_first(getattr(found, name, None)) for name in ("WindowWidth", "WindowCenter"))
    if width is not None and centre is not None and width >= 1:
        # PS3.3 C.11.2.1.2.1: the linear window reaches from c - 0.5 - (w - 1) / 2 on, w - 1 wide.
        low = centre - 0.5 - (width - 1) / 2
        return low, low + max(width - 1, 1)
    bits = int(found.BitsStored)
    low = -(2 ** (bits - 1)) if int(found.PixelRepresentation) else 0
    ends = [stored * slope + intercept for stored in (low, low + 2**bits - 1)]
    return min(ends), max(ends)


def _first(value: Any) -> float | None:
    """Returns a number, or the first of several."""
    if value is None:
        return None
    several = not isinstance(value, (str, float, int)) and hasattr(value, "__len__")
    return float(value[0] if several else value)
