"""What features are like, measured without labels.

N pictures, V views of each, D the features' width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslcli.evaluation.collapse import singular_values, smooth_rank
from sslcli.evaluation.precision import directions

DEAD = 1e-3
"""A dimension is dead whose spread over pictures is below this part of the features' root mean
square.
"""
MANY_DEAD = 0.25
"""The share of dead dimensions that is worth a word."""
HARDLY_CLOSER = 0.8
"""Views of one picture are expected to be nearer each other than this part of the distance of two
pictures' views.
"""


def alignment(h_a: Tensor, h_b: Tensor) -> float:
    """How far two views of a picture are apart: the mean squared distance of L2-normalised features
    (N, D), whose rows belong together. 0 is best, 4 the largest.

    Source: Wang & Isola 2020, section 4.1, alpha = 2.
    """
    return float((directions(h_a) - directions(h_b)).square().sum(dim=1).mean())


def separation(h_a: Tensor, h_b: Tensor) -> float:
    """`alignment` of pairs that do not belong together, the mean over all of them: what alignment
    is to be compared with.
    """
    a, b = directions(h_a), directions(h_b)
    num_pairs = len(a) * (len(a) - 1)
    products = float(a.sum(dim=0) @ b.sum(dim=0) - (a * b).sum())
    # A zero vector has no direction: its square is 0 and not 1.
    squares = float(a.square().sum() + b.square().sum()) * (len(a) - 1)
    return (squares - 2 * products) / num_pairs


def uniformity(h: Tensor, t: float = 2.0, block: int = 1024) -> float:
    """How evenly L2-normalised features (N, D), N at least 2, fill the sphere: the log of the mean
    over pairs of exp(-t * squared distance). 0 where all are equal; the lower the more even, -4 t
    at the lowest.

    Pairs are taken block by block: memory grows with `block` squared, not with N squared. Source:
    Wang & Isola 2020, section 4.1, t = 2.
    """
    assert len(h) >= 2, "a pair has two pictures"
    blocks = torch.split(directions(h), block)
    total = 0.0
    for index, rows in enumerate(blocks):
        for other, columns in enumerate(blocks[index:]):
            squares = (
                rows.square().sum(dim=1)[:, None]
                + columns.square().sum(dim=1)
                - 2 * rows @ columns.T
            )
            kernel = squares.clamp(min=0).mul(-t).exp()
            total += float(kernel.triu(1).sum() if other == 0 else kernel.sum())
    mean = torch.tensor(total / (len(h) * (len(h) - 1) / 2), dtype=torch.float64)
    return float(mean.log())


def lidar(h: Tensor, delta: float = 1e-4) -> float:
    """LiDAR: in how many directions pictures differ more than their views do; `smooth_rank`, from 1
    to D, of (V, N, D).

    Every picture is a class, its views the members. With mu_x a picture's mean and mu the mean of
    all, S_b = E_x[(mu_x - mu)(mu_x - mu)^T], S_w = E_x E_views[(h - mu_x)(h - mu_x)^T] + delta I,
    and lambda the D eigenvalues of S_w^(-1/2) S_b S_w^(-1/2): exp(-sum p log p), p = lambda /
    sum(lambda) + 1e-7. Compare values only at the same N and V.

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
    missing = eigenvalues.new_zeros(
        h.shape[2] - len(eigenvalues)
    )  # fewer pictures than dimensions: the rest are 0
    return smooth_rank(torch.cat([missing, eigenvalues]))


def spectrum(h: Tensor) -> Tensor:
    """Standard deviation of features (N, D) along their min(N, D) principal directions, descending,
    float64, on the CPU: the singular values of the centred features over sqrt(N). Where they fall
    to nothing, the features fill a subspace only.

    Source: Jing et al. 2022, "Understanding Dimensional Collapse in Contrastive Self-supervised
    Learning", there squared.
    """
    features = h.cpu().double()
    deviations: Tensor = (
        singular_values(features - features.mean(dim=0)).flip(0) / len(features) ** 0.5
    )
    return deviations


def dimension_std(h: Tensor) -> Tensor:
    """Returns each dimension's standard deviation (D,) over (N, D), float64, on the CPU."""
    deviations: Tensor = h.cpu().double().std(dim=0, correction=0)
    return deviations


def dead_dimensions(h: Tensor) -> float:
    """The share of dimensions that are the same for every picture of (N, D): their spread is below
    DEAD of the features' root mean square. All of them where all pictures have the same features.
    """
    scale = h.cpu().double().square().mean().sqrt()
    return float((dimension_std(h) <= DEAD * scale).double().mean())


def findings(
    dead: float, aligned: float | None = None, separated: float | None = None
) -> list[str]:
    """Plain words on what looks wrong beside `collapse_alarm`, none where nothing does."""
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
