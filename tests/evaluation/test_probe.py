"""The probe against scikit-learn, its optimality, and what may see which part of the data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from sslcli.evaluation.logistic_regression import Standardizer
from sslcli.evaluation.probe import Probe, fit_probe, select_probe

NUM_CLASSES, WIDTH = 4, 24


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small are slower on many threads, much slower on a busy machine."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)


def pictures(seed: int, count: int, noise: float = 2.0) -> tuple[Tensor, Tensor]:
    """Correlated features at very different scales, one of them constant; and classes that they tell of."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.Generator().manual_seed(99)
    centres, mixing = (
        torch.randn(NUM_CLASSES, 8, generator=shared),
        torch.randn(8, WIDTH, generator=shared),
    )
    labels = torch.randint(0, NUM_CLASSES, (count,), generator=generator)
    hidden = centres[labels] + noise * torch.randn(count, 8, generator=generator)
    features = hidden @ mixing + 0.5 * torch.randn(count, WIDTH, generator=generator)
    features = features * torch.logspace(-2, 2, WIDTH) + 5
    features[:, 3] = 0.1
    return features, labels


def steepest(probe: Probe, features: Tensor, labels: Tensor, l2: float) -> float:
    """The largest entry of the objective's gradient, by autograd in float64."""
    weight, bias = probe.weight.double().requires_grad_(), probe.bias.double().requires_grad_()
    logits = probe.standardizer(features).double() @ weight.T + bias
    loss = cross_entropy(logits, labels) + l2 / 2 * weight.square().sum()
    gradients = torch.autograd.grad(loss, (weight, bias))
    return max(float(gradient.abs().max()) for gradient in gradients)


@pytest.mark.parametrize("l2", [10.0, 0.1, 1e-3])
def test_the_probe_is_scikit_learns_at_the_same_strength(l2: float):
    (features, labels), (test, test_labels) = pictures(0, 600), pictures(1, 1000)
    probe = fit_probe(features, labels, NUM_CLASSES, l2)
    standardized = probe.standardizer(features).double().numpy()
    model = LogisticRegression(C=1 / (l2 * len(features)), tol=1e-8, max_iter=5000).fit(
        standardized, labels.numpy()
    )
    size = float(np.abs(model.coef_).max())
    np.testing.assert_allclose(probe.weight.numpy(), model.coef_, atol=0.01 * size)
    np.testing.assert_allclose(
        (probe.bias - probe.bias.mean()).numpy(), model.intercept_, atol=0.01
    )
    accuracy = float((probe.logits(test).argmax(dim=1) == test_labels).double().mean())
    reference = model.score(probe.standardizer(test).double().numpy(), test_labels.numpy())
    assert abs(accuracy - reference) <= 0.003


@pytest.mark.parametrize("l2", [100.0, 1.0, 1e-2, 1e-4])
def test_the_gradient_is_nearly_zero_at_the_solution(l2: float):
    features, labels = pictures(0, 500)
    assert steepest(fit_probe(features, labels, NUM_CLASSES, l2), features, labels, l2) < 1e-4


def test_more_dimensions_than_pictures_and_classes_without_pictures_are_taken():
    features, labels = pictures(0, 12)
    probe = fit_probe(features, labels % 2, 5, 1e-2)
    assert probe.weight.shape == (5, WIDTH)
    assert steepest(probe, features, labels % 2, 1e-2) < 1e-4
    assert bool((probe.logits(features).argmax(dim=1) < 2).all())


def test_the_start_changes_nothing_but_the_way():
    features, labels = pictures(0, 500)
    cold = fit_probe(features, labels, NUM_CLASSES, 1e-2)
    warm = fit_probe(
        features, labels, NUM_CLASSES, 1e-2, start=fit_probe(features, labels, NUM_CLASSES, 1.0)
    )
    torch.testing.assert_close(cold.weight, warm.weight, atol=2e-3, rtol=0)


def test_same_input_same_probe_bit_for_bit():
    features, labels = pictures(0, 500)
    one, other = (fit_probe(features, labels, NUM_CLASSES, 1e-3) for _ in range(2))
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)


def test_matrix_precision_is_left_as_it_was():
    features, labels = pictures(0, 50)
    former = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        fit_probe(features, labels, NUM_CLASSES, 1.0)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(former)


def test_standardizer_gives_mean_0_and_std_1_and_leaves_constants():
    features, _ = pictures(0, 2000)
    features[:, 4] = 1000.3
    standardized = Standardizer.fit(features)(features)
    varying = [d for d in range(WIDTH) if d not in (3, 4)]
    np.testing.assert_allclose(standardized.mean(dim=0).numpy(), 0, atol=1e-3)
    np.testing.assert_allclose(standardized.std(dim=0, correction=0)[varying].numpy(), 1, atol=1e-3)
    assert float(standardized[:, [3, 4]].abs().max()) < 1e-2
    assert Standardizer.fit(features).std[[3, 4]].tolist() == [1, 1]


GRID = [1e-4, 1e2, 1e-1, 1e-2]


def test_selection_takes_the_best_on_validation_and_fits_again_on_both():
    (train, train_labels), (val, val_labels) = pictures(0, 80), pictures(1, 300)
    selection = select_probe(train, train_labels, val, val_labels, NUM_CLASSES, GRID)
    assert list(selection.accuracies) == sorted(GRID, reverse=True)
    for l2, accuracy in selection.accuracies.items():
        probe = fit_probe(train, train_labels, NUM_CLASSES, l2)
        assert float((probe.logits(val).argmax(1) == val_labels).double().mean()) == pytest.approx(
            accuracy, abs=0.01
        )
    assert selection.accuracies[selection.l2] == max(selection.accuracies.values())
    both = fit_probe(
        torch.cat([train, val]), torch.cat([train_labels, val_labels]), NUM_CLASSES, selection.l2
    )
    torch.testing.assert_close(selection.probe.standardizer.mean, both.standardizer.mean)
    torch.testing.assert_close(selection.probe.weight, both.weight, atol=2e-3, rtol=0)


def test_without_refit_validation_only_chooses():
    (train, train_labels), (val, val_labels) = pictures(0, 80), pictures(1, 300)
    selection = select_probe(train, train_labels, val, val_labels, NUM_CLASSES, GRID, refit=False)
    assert torch.equal(selection.probe.standardizer.mean, Standardizer.fit(train).mean)
    alone = fit_probe(train, train_labels, NUM_CLASSES, selection.l2)
    torch.testing.assert_close(selection.probe.weight, alone.weight, atol=5e-3, rtol=0)


def test_what_hardly_varies_in_a_few_pictures_is_scaled_by_all_of_them():
    """A dimension of noise that happens to be nearly constant in those with labels would drown what the others know."""
    (train, train_labels), (val, val_labels) = pictures(0, 400), pictures(1, 300)
    few = torch.arange(12)
    noise = torch.randn(len(train) + len(val), 30, generator=torch.Generator().manual_seed(0))
    noise[few] *= 1e-3
    train, val = (
        torch.cat([train, noise[: len(train)]], dim=1),
        torch.cat([val, noise[len(train) :]], dim=1),
    )
    by_few, by_all = (
        select_probe(
            train[few],
            train_labels[few],
            val,
            val_labels,
            NUM_CLASSES,
            GRID,
            refit=False,
            standardizer=standardizer,
        )
        for standardizer in (None, Standardizer.fit(train))
    )
    assert torch.equal(by_all.probe.standardizer.std, Standardizer.fit(train).std)
    assert max(by_all.accuracies.values()) > max(by_few.accuracies.values()) + 0.1


def test_what_is_chosen_depends_on_validation_alone():
    train, train_labels = pictures(0, 60, noise=4.0)
    # Validation labels made by the weakest probe are told best by the weakest, those by the strongest by the strongest.
    val, _ = pictures(1, 400, noise=4.0)
    for wanted in (min(GRID), max(GRID)):
        val_labels = fit_probe(train, train_labels, NUM_CLASSES, wanted).logits(val).argmax(dim=1)
        selection = select_probe(train, train_labels, val, val_labels, NUM_CLASSES, GRID)
        assert selection.l2 == wanted
        assert selection.at_edge


def test_a_tie_goes_to_the_middle_and_one_strength_has_no_edge():
    features, labels = pictures(0, 100, noise=0.01)
    selection = select_probe(features, labels, features, labels, NUM_CLASSES, [1e-4, 1e-2, 1e-3])
    assert set(selection.accuracies.values()) == {1.0}
    assert selection.l2 == 1e-3
    assert selection.undecided
    assert not select_probe(features, labels, features, labels, NUM_CLASSES, [1e-2]).at_edge
