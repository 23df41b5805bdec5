"""Trains small convnets on pixels, apart from any run, to judge edited pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sslcli.data.batches import LabelledBatches
from sslcli.data.images import ImageSet, Track
from sslcli.engine.device import Compute
from sslcli.engine.minimize import Minimizer
from sslcli.engine.optim_config import AdamWConfig
from sslcli.evaluation.classifier import Classifier
from sslcli.evaluation.features import eval_mode
from sslcli.generators import kept_generators, seed_generators
from sslcli.method import Preprocessing, Progress
from sslcli.nets.encoder_config import ConvNetConfig
from sslcli.seeding import derive_seed

NUM_JUDGES = 3
"""Judges that differ in their seed: one alone may be 4 points kinder to one way than to another."""
EPOCHS, FEWEST_STEPS, BATCH_SIZE = 8, 300, 128
LEARNING_RATE = 3e-3
BATCH = 256
TrackSteps = Callable[..., Iterable[int]]
"""Passes steps on, and shows how many of `total` are done."""


class Judges:
    """Tell the class of pictures (N, C, R, R) in [0, 1], each on its own."""

    def __init__(self, classifiers: Sequence[Classifier], device: torch.device) -> None:
        self._fed = classifiers[0].preprocessing
        self._networks = [nn.Sequential(one.encoder, one.head).to(device) for one in classifiers]
        self._device = device

    def __call__(self, pictures: Tensor) -> Tensor:
        """Returns the class of each picture by each judge, (J, N)."""
        return torch.stack([self._seen_by(network, pictures) for network in self._networks])

    def _seen_by(self, network: nn.Module, pictures: Tensor) -> Tensor:
        with torch.no_grad(), eval_mode(network):
            batches = [
                network(self._fed.normalized(some.to(self._device)))
                for some in torch.split(pictures.float(), BATCH)
            ]
        return torch.cat(batches).argmax(dim=1).cpu()


def train_judges(
    train: ImageSet, num_classes: int, seed: int, compute: Compute, track: Track
) -> Judges:
    """Returns judges that learned from labelled pictures; generators stay as they are."""
    middle = (0.5,) * train.channels
    fed = Preprocessing(train.resolution, train.channels, middle, middle)
    config = ConvNetConfig(grid=max(1, min(4, train.resolution // 7)))
    classifiers = []
    with kept_generators():
        for number in range(NUM_JUDGES):
            own = derive_seed(seed, "judge", number)
            seed_generators(own)
            encoder = config.build(train.channels, train.resolution)
            classifier = Classifier.of(encoder, num_classes, fed, patience=1)
            label = f"training judge {number + 1} of {NUM_JUDGES}"
            _train(classifier, train, own, compute, partial(track, label=label))
            classifiers.append(classifier)
    return Judges(classifiers, compute.device)


def _train(
    classifier: Classifier, train: ImageSet, seed: int, compute: Compute, track: TrackSteps
) -> None:
    batch_size = min(BATCH_SIZE, len(train))
    pictures = LabelledBatches(train, batch_size, seed, compute.device)
    num_steps = max(EPOCHS * pictures.steps_per_epoch, FEWEST_STEPS)
    optim = AdamWConfig(lr=LEARNING_RATE, warmup_epochs=1)

    def learning_rate(step: int) -> float:
        return optim.learning_rate(step, num_steps, pictures.steps_per_epoch, batch_size)

    for module in classifier.modules().values():
        compute.to_device(module)
    nn.ModuleDict(classifier.modules()).train()
    minimize = Minimizer.of(classifier, optim, compute, learning_rate)
    for step in track(range(num_steps), total=num_steps):
        seed_generators(derive_seed(seed, step))
        minimize.begin(step)
        images, labels = pictures.at(step)
        assert isinstance(images, Tensor), "what is squeezed was fitted"
        views = classifier.views((images, labels))
        progress = Progress(step, num_steps, pictures.steps_per_epoch)
        with compute.autocast():
            classifier.train_step(views, minimize, progress)
        minimize.end()
    minimize.check_finite()
