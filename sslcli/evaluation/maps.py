"""Projects L2-normalised features to the plane.

N pictures, D the features' width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sslcli.errors import SslcliError


@dataclass(frozen=True)
class Map:
    """Projects features (N, D) to the plane (N, 2).

    `package` must be installed for it; fewer than `min_pictures` make no sensible map.
    """

    name: str
    project: Callable[[Tensor], Tensor]
    min_pictures: int
    package: str | None = None

    def require_package(self) -> None:
        if self.package is not None and find_spec(self.package) is None:
            message = f"{self.name} needs the package {self.package}, which is not installed"
            raise SslcliError(message, "pip install 'sslcli[maps]', or --map pca")

    def require_pictures(self, num_pictures: int) -> None:
        if num_pictures < self.min_pictures:
            needed = f"{self.name} needs at least {self.min_pictures} pictures"
            message = f"{needed}, and there are {num_pictures}"
            raise SslcliError(message, "name a larger --part, or --map pca, which needs 3")

    def __call__(self, h: Tensor) -> Tensor:
        """Returns points (N, 2), float32 on the CPU; the same at every call."""
        return self.project(normalize(h.float().cpu(), dim=1)).float()


def pca(directions: Tensor) -> Tensor:
    """Returns the coordinates on the first two principal directions.

    Each direction has the sign that makes its largest weight positive.
    """
    centred = (directions - directions.mean(dim=0)).double()
    _, axes = torch.linalg.eigh(centred.T @ centred)
    axes = axes[:, -2:].flip(1)  # eigh's are ascending
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    points = centred @ (axes * largest.sign())
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1]))  # a code of one dimension


def tsne(directions: Tensor) -> Tensor:
    """Returns scikit-learn's t-SNE, started from PCA.

    Perplexity is 30, less for few pictures. Source: van der Maaten & Hinton 2008.
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(directions) - 1) / 3)
    begin = pca(directions)
    # scikit-learn scales its own start from PCA so, but fails for a code of one dimension.
    begin = begin / begin[:, 0].std().clamp(min=1e-12) * 1e-4
    found = TSNE(2, perplexity=perplexity, init=begin.float().numpy(), random_state=0)
    return torch.from_numpy(found.fit_transform(directions.numpy()))


def umap(directions: Tensor) -> Tensor:
    """Runs umap-learn's UMAP (McInnes et al. 2018); few pictures get fewer neighbours."""
    from umap import UMAP

    found = UMAP(n_neighbors=min(15, len(directions) - 1), random_state=0, n_jobs=1)
    return torch.as_tensor(found.fit_transform(directions.numpy()))


MAPS: dict[str, Map] = {
    "pca": Map("PCA", pca, 3),
    "tsne": Map("t-SNE", tsne, 10, "sklearn"),
    "umap": Map("UMAP", umap, 10, "umap"),
}
