"""Draws quality by the bits that compressed pictures take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sslcli.evaluation.rate import RatePoint
from sslcli.report.style import COLOURS, drawable, label_axes, new_figure, save_figure, style_axes


def save_rate(path: Path, curves: Mapping[str, Sequence[RatePoint]], title: str) -> None:
    """Draws PSNR, and SSIM where there is one, over bits a pixel, which have a logarithmic axis.

    Every curve is a line; a dashed one counts the headers of whole files too.
    """
    points = [point for curve in curves.values() for point in curve]
    panels = {"PSNR [dB]": [point.psnr for point in points]}
    if all(point.ssim is not None for point in points):
        panels["SSIM"] = [point.ssim or 0.0 for point in points]
    figure = new_figure(4.6 * len(panels), 3.6)
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        values = iter(panels[name])
        for index, (of, curve) in enumerate(curves.items()):
            height = [next(values) for _ in curve]
            colour = COLOURS[index % len(COLOURS)]
            bits, whole = ([getattr(p, field) for p in curve] for field in ("bits", "file_bits"))
            label = drawable(of, 40)
            look = {"color": colour, "linewidth": 1.4, "marker": "o", "markersize": 3.5}
            axes.plot(bits, height, label=label, **look)
            axes.plot(
                whole, height, label=f"{label}, whole files", linestyle="--", alpha=0.6, **look
            )
        style_axes(axes, f"{name}, {title}")
        axes.set_xscale("log")
        rates = [rate for point in points for rate in (point.bits, point.file_bits)]
        ticks = _between(min(rates), max(rates))
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        label_axes(axes, "bits a pixel")
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        lines, names, loc="outside lower center", ncols=len(curves), fontsize=8, frameon=False
    )
    save_figure(figure, path)


def _between(least: float, most: float) -> list[float]:
    """Returns 1, 2 and 5 times powers of ten that lie in a range, or its ends."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [tick for tick in ticks if least <= tick <= most] or [least, most]
