"""Maps of features: what PCA must keep, that neighbours stay neighbours, and what is refused."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from sslcli.errors import SslcliError
from sslcli.evaluation import maps
from sslcli.evaluation.knn import neighbours
from sslcli.evaluation.maps import MAPS


def blobs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    return 4 * torch.eye(10)[labels] + 0.5 * torch.randn(60, 10, generator=generator), labels


def test_pca_is_the_first_two_of_a_singular_value_decomposition() -> None:
    h, _ = blobs()
    points = MAPS["pca"](h)
    directions = normalize(h, dim=1)
    u, s, _ = np.linalg.svd(
        (directions - directions.mean(dim=0)).double().numpy(), full_matrices=False
    )
    np.testing.assert_allclose(np.abs(points.numpy()), np.abs(u[:, :2] * s[:2]), atol=1e-5)
    assert torch.equal(points, MAPS["pca"](h))


def test_pca_of_a_code_of_one_dimension_has_two_columns() -> None:
    assert MAPS["pca"](torch.randn(5, 1)).shape == (5, 2)


@pytest.mark.parametrize("name", ["pca", "tsne"])
def test_classes_that_are_apart_stay_apart(name: str) -> None:
    h, labels = blobs()
    points = MAPS[name](h)
    assert points.dtype == torch.float32
    centres = torch.stack([points[labels == k].mean(dim=0) for k in range(3)])
    assert torch.equal(torch.cdist(points, centres).argmin(dim=1), labels)
    assert torch.equal(points, MAPS[name](h))


def test_umap_is_asked_for_a_map_that_is_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """umap-learn need not be installed here: what it is given is looked at."""
    given: dict[str, Any] = {}

    class UMAP:
        def __init__(self, **settings: Any) -> None:
            given.update(settings)

        def fit_transform(self, directions: np.ndarray) -> np.ndarray:
            np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-5)
            return directions[:, :2]

    module = ModuleType("umap")
    module.UMAP = UMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    assert MAPS["umap"](blobs()[0][:12]).shape == (12, 2)
    assert given == {"n_neighbors": 11, "random_state": 0, "n_jobs": 1}


def test_a_missing_package_and_too_few_pictures_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maps, "find_spec", lambda name: None)
    MAPS["pca"].require_package()
    for name in ("tsne", "umap"):
        with pytest.raises(SslcliError) as error:
            MAPS[name].require_package()
        assert "pip install 'sslcli[maps]'" in error.value.fix
    with pytest.raises(SslcliError, match="t-SNE needs at least 10 pictures, and there are 9"):
        MAPS["tsne"].require_pictures(9)
    MAPS["pca"].require_pictures(3)


def test_neighbours_are_the_most_similar_others_nearest_first() -> None:
    angles = torch.tensor([0.0, 0.1, 0.3, 2.0, 2.05])
    h = (
        torch.stack([angles.cos(), angles.sin()], dim=1)
        * torch.tensor([1.0, 5.0, 0.2, 3.0, 1.0])[:, None]
    )
    assert neighbours(h, torch.tensor([0, 3]), 2).tolist() == [[1, 2], [4, 2]]
