"""Builds the projection head."""

from __future__ import annotations

from torch import nn


def projection_head(
    width: int, hidden: int, out: int, num_layers: int, batch_norm: bool
) -> nn.Sequential:
    """Builds linear layers with ReLU between them: (N, width) -> (N, out).

    With `batch_norm` a norm follows every layer, the last one's without a shift, and the layers
    have no bias, as in SimCLR's official code. Differs: torch's default initialisation where the
    official code draws N(0, 0.01).
    """
    layers: list[nn.Module] = []
    for index in range(num_layers):
        last = index == num_layers - 1
        width_out = out if last else hidden
        layers.append(nn.Linear(width, width_out, bias=not batch_norm))
        if batch_norm:
            layers.append(_norm_without_shift(width_out) if last else nn.BatchNorm1d(width_out))
        if not last:
            layers.append(nn.ReLU(inplace=True))
        width = width_out
    return nn.Sequential(*layers)


def mlp_head(width: int, hidden: int, out: int, num_layers: int, last_norm: bool) -> nn.Sequential:
    """Maps (N, width) to (N, out): linear layers with batch norm and ReLU between.

    With `last_norm` a batch norm without scale and shift follows the last one, which then has no
    bias.
    """
    layers: list[nn.Module] = []
    for _ in range(num_layers - 1):
        layers += [nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden)]
        layers.append(nn.ReLU(inplace=True))
        width = hidden
    layers.append(nn.Linear(width, out, bias=not last_norm))
    if last_norm:
        layers.append(nn.BatchNorm1d(out, affine=False))
    return nn.Sequential(*layers)


def _norm_without_shift(width: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(width)
    norm.bias = None  # type: ignore[assignment]
    return norm
