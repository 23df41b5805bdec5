"""Holds every loss to lightly's on random inputs in float64: its value, and its gradient for every input.

    python -m benchmarks.losses --against lightly      (after pip install lightly)

Differences are the largest of three draws, as parts of the largest value. Where conventions differ, the table says
in a sentence how lightly's result was brought to ours; what is compared then must agree as all others must. The
command fails where something differs by more than 1e-5, or where a loss of sslcli is not in the table.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks import lightly_loop
from sslcli import losses, nets

BOUND = 1e-5
NUM_DRAWS = 3
N, D, K = 24, 16, 40
"""Pictures, width of embeddings, and the number of prototypes or of keys in a queue."""
PATCH, SIDE, CHANNELS = 4, 16, 3
LENGTH, NUMBERS = (SIDE // PATCH) ** 2, CHANNELS * PATCH**2
PAIR = ((N, D), (N, D))

WITHOUT_PEER = {
    "cross_entropy": "an autoencoder's: lightly has none",
    "discriminator_loss": "lightly has no adversarial method",
    "generator_loss": "lightly has no adversarial method",
    "masked_squared_error": "a context encoder's: lightly has none",
    "rank_accuracy": "a measurement, not a loss",
    "squared_error": "an autoencoder's: lightly has none",
}


@dataclass(frozen=True)
class Comparison:
    """`ours` and `theirs` are given tensors of the shapes `inputs`; `names`: which losses of sslcli are held to `peer`."""

    names: str
    peer: str
    inputs: tuple[tuple[int, ...], ...]
    ours: Callable[..., Tensor]
    theirs: Callable[..., Tensor]
    how: str = ""


def contrastive() -> list[Comparison]:
    from lightly.loss import DCLLoss, DCLWLoss, NTXentLoss

    def dclw(z_a: Tensor, z_b: Tensor) -> Tensor:
        own = nn.functional.cosine_similarity(z_a, z_b)
        weights = 2 - len(own) * (own / 0.5).softmax(dim=0)
        of_weights = ((weights.detach() - weights) * own.detach()).mean() / 0.1
        return DCLWLoss(0.1, 0.5)(z_a, z_b) + of_weights

    def by_label(z_a: Tensor, z_b: Tensor) -> Tensor:
        return losses.sup_con(torch.cat([z_a, z_b]), torch.arange(N), 0.1)

    blocks = "computed 7 rows at a time"
    return [
        Comparison("nt_xent", "NTXentLoss", PAIR, lambda a, b: losses.nt_xent(a, b, 0.1), NTXentLoss(0.1)),
        Comparison("nt_xent", "NTXentLoss", PAIR, lambda a, b: losses.nt_xent(a, b, 0.5, 7), NTXentLoss(0.5), blocks),
        Comparison("dcl", "DCLLoss", PAIR, lambda a, b: losses.dcl(a, b, 0.1), DCLLoss(0.1)),
        Comparison("dcl", "DCLLoss", PAIR, lambda a, b: losses.dcl(a, b, 0.5, block=7), DCLLoss(0.5), blocks),
        Comparison(
            "dcl", "DCLWLoss", PAIR, lambda a, b: losses.dcl(a, b, 0.1, sigma=0.5), dclw,
            "lightly takes DCLW's weights for constants; the gradient through them is added to its own",
        ),
        Comparison(
            "sup_con", "NTXentLoss", PAIR, by_label, NTXentLoss(0.1),
            "lightly has no SupCon; with a label of its own for each picture it is NT-Xent",
        ),
    ]  # fmt: skip


def queries() -> list[Comparison]:
    from lightly.loss import NegativeCosineSimilarity, NTXentLoss

    class Bank(nn.Module):
        """Gives lightly's loss `rows` with their gradient, as its own bank does without."""

        def __init__(self, rows: Tensor) -> None:
            super().__init__()
            self.rows = nn.functional.normalize(rows, dim=1)

        def forward(self, output: Tensor, update: bool) -> tuple[Tensor, Tensor]:
            return output, self.rows.T

    def with_queue(q: Tensor, k: Tensor, rows: Tensor) -> Tensor:
        criterion = NTXentLoss(0.2, memory_bank_size=(K, D))
        criterion.memory_bank.bank = nn.functional.normalize(rows, dim=1)
        return criterion(q, k)

    def in_batch(q: Tensor, k: Tensor) -> Tensor:
        criterion, terms = NTXentLoss(0.2), []
        for i in range(N):
            criterion.memory_bank = Bank(torch.cat([k[:i], k[i + 1 :]]))
            terms.append(criterion(q[i : i + 1], k[i : i + 1]))
        return torch.stack(terms).mean()

    negative = NegativeCosineSimilarity()
    return [
        Comparison(
            "info_nce_with_queue", "NTXentLoss, bank", (*PAIR, (K, D)),
            lambda q, k, rows: losses.info_nce_with_queue(q, k, rows.detach(), 0.2), with_queue,
            "with lightly's own bank; neither gives a gradient to its rows",
        ),
        Comparison(
            "info_nce", "NTXentLoss, bank", PAIR, lambda q, k: losses.info_nce(q, k, 0.2), in_batch,
            "lightly has no InfoNCE within a batch: each query alone, with the other keys as a bank that passes gradients",
        ),
        Comparison(
            "mean_cosine", "NegativeCosineSimilarity", PAIR, losses.mean_cosine, lambda a, b: -negative(a, b),
            "lightly returns its negative",
        ),
    ]  # fmt: skip


def decorrelation() -> list[Comparison]:
    from lightly.loss import BarlowTwinsLoss, VICRegLoss, vicreg_loss
    from lightly.loss.lejepa_loss import SIGReg

    def vicreg(z_a: Tensor, z_b: Tensor) -> Tensor:
        variance = (losses.variance(z_a) + losses.variance(z_b)) / 2
        covariance = losses.covariance(z_a) + losses.covariance(z_b)
        return 25 * losses.invariance(z_a, z_b) + 25 * variance + covariance

    def sigreg(z: Tensor) -> Tensor:
        torch.manual_seed(7)
        return losses.sigreg(z, losses.random_directions(D, 64))

    def lightlys(z: Tensor) -> Tensor:
        torch.manual_seed(7)
        return SIGReg(num_vectors=64)(z)

    return [
        Comparison(
            "barlow_twins", "BarlowTwinsLoss", PAIR, lambda a, b: losses.barlow_twins(a, b, 0.005), BarlowTwinsLoss(0.005)
        ),
        Comparison("invariance", "invariance_loss", PAIR, losses.invariance, vicreg_loss.invariance_loss),
        Comparison("variance", "variance_loss", ((N, D),), losses.variance, vicreg_loss.variance_loss),
        Comparison("covariance", "covariance_loss", ((N, D),), losses.covariance, vicreg_loss.covariance_loss),
        Comparison(
            "invariance variance covariance", "VICRegLoss", PAIR, vicreg, VICRegLoss(), "weighed 25, 25 and 1, as by default in both"
        ),
        Comparison(
            "sigreg random_directions", "SIGReg", ((3, N, D),), sigreg, lightlys,
            "three views; both draw their directions from one seed; lightly's window is in float32",
        ),
    ]  # fmt: skip


def clustering() -> list[Comparison]:
    from lightly.loss import DINOLoss, SwaVLoss
    from lightly.loss.swav_loss import sinkhorn

    def ours(*scores: Tensor) -> Tensor:
        *views, queue = scores
        targets = [losses.sinkhorn(view, 0.5, 3, queue.detach()) for view in views[:2]]
        return losses.cross_view_entropy(targets, views, 0.1)

    def swav(*scores: Tensor) -> Tensor:
        *views, queue = scores
        return SwaVLoss(0.1, 3, 0.5)(views[:2], views[2:], [queue, queue]).squeeze()

    def ours_of_teacher(centre: Tensor, a: Tensor, b: Tensor, *views: Tensor) -> Tensor:
        targets = [((view - centre) / 0.04).softmax(dim=1) for view in (a, b)]
        return losses.cross_view_entropy(targets, views, 0.1)

    def dino(centre: Tensor, a: Tensor, b: Tensor, *views: Tensor) -> Tensor:
        criterion = DINOLoss(K, teacher_temp=0.04, student_temp=0.1)
        criterion.center = centre.detach()[None, None]
        return criterion([a, b], list(views))

    def lightlys(scores: Tensor, earlier: Tensor) -> Tensor:
        return sinkhorn(torch.cat([scores, earlier]), 3, 0.5)[:N]

    rows = (N, K)
    return [
        Comparison("sinkhorn", "sinkhorn", (rows, rows), lambda a, b: losses.sinkhorn(a, 0.5, 3, b), lightlys),
        Comparison(
            "cross_view_entropy sinkhorn", "SwaVLoss", (rows,) * 5, ours, swav, "two large views, two small ones and a queue"
        ),
        Comparison(
            "cross_view_entropy", "DINOLoss", ((K,), *(rows,) * 6), lambda c, *z: ours_of_teacher(c.detach(), *z), dino,
            "two views of the teacher, which get a gradient here, and four of the student",
        ),
    ]  # fmt: skip


def masked() -> list[Comparison]:
    from lightly.models import utils

    order = torch.rand(N, LENGTH).argsort(dim=1)[:, : LENGTH * 3 // 4]
    hidden = torch.zeros(N, LENGTH).scatter(1, order, 1.0)

    def of_hidden(
        criterion: nn.Module, targets: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor, Tensor], Tensor]:
        def loss(predicted: Tensor, pictures: Tensor) -> Tensor:
            patches = targets(utils.patchify(pictures, PATCH))
            return criterion(
                utils.get_at_index(predicted, order), utils.get_at_index(patches, order)
            )

        return loss

    def squared(predicted: Tensor, pictures: Tensor) -> Tensor:
        return losses.hidden_squared_error(predicted, nets.to_patches(pictures, PATCH), hidden)

    def normalized(predicted: Tensor, pictures: Tensor) -> Tensor:
        patches = losses.normalized_patches(nets.to_patches(pictures, PATCH))
        return losses.hidden_squared_error(predicted, patches, hidden)

    def absolute(predicted: Tensor, pictures: Tensor) -> Tensor:
        return losses.hidden_absolute_error(predicted, nets.to_patches(pictures, PATCH), hidden)

    inputs = ((N, LENGTH, NUMBERS), (N, CHANNELS, SIDE, SIDE))
    example = "as in lightly's example: its patchify and get_at_index, torch's"
    return [
        Comparison(
            "hidden_squared_error", "MAE's example", inputs, squared, of_hidden(nn.MSELoss(), lambda patches: patches),
            f"{example} MSELoss",
        ),
        Comparison(
            "normalized_patches hidden_squared_error", "the same", inputs, normalized,
            of_hidden(nn.MSELoss(), utils.normalize_mean_var), "with lightly's normalize_mean_var",
        ),
        Comparison(
            "hidden_absolute_error", "SimMIM's example", inputs, absolute, of_hidden(nn.L1Loss(), lambda patches: patches),
            f"{example} L1Loss",
        ),
    ]  # fmt: skip


def differences(comparison: Comparison, seed: int) -> tuple[float, float | None]:
    """Of the values, and the largest of the gradients; None where both results have no gradient."""
    torch.manual_seed(seed)
    inputs = [torch.randn(shape, requires_grad=True) for shape in comparison.inputs]
    results = [comparison.ours(*inputs), comparison.theirs(*inputs)]
    value = apart(*results)
    if not any(result.requires_grad for result in results):
        return value, None
    gradients = [torch.autograd.grad(result, inputs, allow_unused=True) for result in results]
    return value, max(apart(us, them) for us, them in zip(*gradients, strict=True))


def apart(ours: Tensor | None, theirs: Tensor | None) -> float:
    """The largest difference as a part of the largest value; infinite where one is missing, or both are zero throughout."""
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else float("inf")
    assert ours.dtype is theirs.dtype is torch.float64
    assert ours.shape == theirs.shape
    largest = theirs.abs().max().item()
    return (ours - theirs).abs().max().item() / largest if largest else float("inf")


def show(comparison: Comparison) -> bool:
    """Prints the row, and tells whether both agree."""
    found = [differences(comparison, seed) for seed in range(NUM_DRAWS)]
    value = max(value for value, _ in found)
    gradients = [gradient for _, gradient in found if gradient is not None]
    good = value <= BOUND and all(gradient <= BOUND for gradient in gradients)
    gradient = f"{max(gradients):.0e}" if gradients else "none"
    how = comparison.how if good else f"DIFFERS  {comparison.how}"
    names = " + ".join(comparison.names.split())
    print(f"{names:<41} {comparison.peer:<25} {value:7.0e} {gradient:>9}   {how}")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=lightly_loop.peer, default="lightly")
    parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")  # lightly's imports, and its copies of tensors
    comparisons = [*contrastive(), *queries(), *decorrelation(), *clustering(), *masked()]
    print(f"{'sslcli.losses':<41} {'lightly':<25} {'value':>7} {'gradient':>9}")
    good = [show(comparison) for comparison in comparisons]
    for name, reason in WITHOUT_PEER.items():
        print(f"{name:<41} {'-':<25} {'':>7} {'':>9}   {reason}")
    named = {name for comparison in comparisons for name in comparison.names.split()}
    missing = sorted(losses.HOME.keys() - named - WITHOUT_PEER.keys())
    print(*(f"{name:<41} is compared with nothing\n" for name in missing), sep="", end="")
    print(f"{sum(good)} of {len(good)} rows agree within {BOUND:.0e}")
    sys.exit(0 if all(good) and not missing else 1)


if __name__ == "__main__":
    main()
