"""Measures properties of features without labels.

N pictures, V views of each, D the features' width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslcli.evaluation.collapse import singular_values, smooth_rank
from sslcli.evaluation.precision import directions

DEAD = 1e-3
"""A dimension is dead if its spread is at most this part of the features' root mean square."""
MANY_DEAD = 0.25
"""The share of dead dimensions that is reported."""
HARDLY_CLOSER = 0.8
"""Views of one picture should be closer than this part of the distance between pictures."""


def alignment(h_a: Tensor, h_b: Tensor) -> float:
    """Measures the mean squared distance of two views of a picture, from 0 to 4.

    Rows of the features (N, D) correspond, and are L2-normalised first; 0 is best. Source: Wang &
    Isola 2020, section 4.1, alpha = 2.
    """
    return float((directions(h_a) - directions(h_b)).square().sum(dim=1).mean())


def separation(h_a: Tensor, h_b: Tensor) -> float:
    """Measures the `alignment` of all pairs of different pictures, as its baseline."""
    a, b = directions(h_a), directions(h_b)
    num_pairs = len(a) * (len(a) - 1)
    products = float(a.sum(dim=0) @ b.sum(dim=0) - (a * b).sum())
    # A zero vector has no direction: its square is 0 and not 1.
    squares = float(a.square().sum() + b.square().sum()) * (len(a) - 1)
    return (squares - 2 * products) / num_pairs


def uniformity(h: Tensor, t: float = 2.0, block: int = 1024) -> float:
    """Measures how evenly L2-normalised features (N, D) fill the sphere.

    Returns log mean exp(-t * squared distance) over pairs, -4 t to 0; lower is more even. N >= 2.
    Memory grows with `block` squared, not N. Source: Wang & Isola 2020, section 4.1, t = 2.
    """
    assert len(h) >= 2, "a pair has two pictures"
    blocks = torch.split(directions(h), block)
    total = blocks[0].new_zeros(())  # read once, not after every block
    for index, rows in enumerate(blocks):
        for other, columns in enumerate(blocks[index:]):
            squares = (
                rows.square().sum(dim=1)[:, None]
                + columns.square().sum(dim=1)
                - 2 * rows @ columns.T
            )
            kernel = squares.clamp(min=0).mul(-t).exp()
            total += kernel.triu(1).sum() if other == 0 else kernel.sum()
    return float((total / (len(h) * (len(h) - 1) / 2)).log())


def lidar(h: Tensor, delta: float = 1e-4) -> float:
    """Counts the directions in which pictures differ more than their views do.

    LiDAR of h (V, N, D), a `smooth_rank` from 1 to D. Every picture is a class, its views the
    members. With mu_x a picture's mean and mu the mean of all, S_b = E_x[(mu_x - mu)(mu_x - mu)^T],
    S_w = E_x E_views[(h - mu_x)(h - mu_x)^T] + delta I, and lambda the D eigenvalues of S_w^(-1/2)
    S_b S_w^(-1/2): exp(-sum p log p), p = lambda / sum(lambda) + 1e-7. Compare values only at the
    same N and V.

    Source: Thilak et al. 2024, "LiDAR: Sensing Linear Probing Performance in Joint Embedding SSL
    Architectures". Differs: few views (the paper has 50 of 1,000 pictures), and `delta` is a
    choice: implementations have 1e-6 to 1e-3.
    """
    assert len(h) >= 2, "a class of one view has no spread"
    views = h.cpu().double()
    means = views.mean(dim=0)
    between = (means - means.mean(dim=0)).T / len(means) ** 0.5
    inner = (views - means).flatten(0, 1)
    within = inner.T @ inner / len(inner) + delta * torch.eye(h.shape[2], dtype=views.dtype)
    # L^-1 S_b L^-T, L L^T = S_w, has the same eigenvalues; they are the squared singular values of
    # L^-1 times S_b's root.
    root = torch.linalg.cholesky(within)
    eigenvalues = singular_values(
        torch.linalg.solve_triangular(root, between, upper=False)
    ).square()
    # With fewer pictures than dimensions the other eigenvalues are 0.
    missing = eigenvalues.new_zeros(h.shape[2] - len(eigenvalues))
    return smooth_rank(torch.cat([missing, eigenvalues]))


def spectrum(h: Tensor) -> Tensor:
    """Returns the standard deviations (min(N, D),) along the principal directions.

    Descending, float64, on the CPU: the singular values of the centred features (N, D) over
    sqrt(N). Where they fall to zero, the features fill a subspace only.

    Source: Jing et al. 2022, "Understanding Dimensional Collapse in Contrastive Self-supervised
    Learning", there squared.
    """
    features = h.cpu().double()
    deviations: Tensor = (
        singular_values(features - features.mean(dim=0)).flip(0) / len(features) ** 0.5
    )
    return deviations


def dimension_std(h: Tensor) -> Tensor:
    """Returns the standard deviation (D,) of features (N, D), float64, on the CPU."""
    deviations: Tensor = h.cpu().double().std(dim=0, correction=0)
    return deviations


def dead_dimensions(h: Tensor) -> float:
    """Returns the share of dimensions that hardly vary over the pictures (see DEAD).

    It is 1 where all pictures have the same features.
    """
    scale = h.cpu().double().square().mean().sqrt()
    return float((dimension_std(h) <= DEAD * scale).double().mean())


def findings(
    dead: float, aligned: float | None = None, separated: float | None = None
) -> list[str]:
    """Describes what looks wrong apart from `collapse_alarm`; empty if nothing does."""
    words = []
    if dead >= MANY_DEAD:
        words.append(
            f"{100 * dead:.0f} % of the features' dimensions are the same for every picture"
        )
    if aligned is not None and separated is not None and aligned > HARDLY_CLOSER * separated:
        words.append(
            "two views of a picture are hardly closer than views of two pictures: "
            f"their squared distances are {aligned:.3g} and {separated:.3g}"
        )
    return words
