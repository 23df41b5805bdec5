"""Trains a small convnet on pixels, apart from any run, to judge edited pictures."""

from __future__ import annotations

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

EPOCHS, FEWEST_STEPS, BATCH_SIZE = 8, 300, 128
LEARNING_RATE = 3e-3
BATCH = 256


class Judge:
    """Tells the class of pictures (N, C, R, R) in [0, 1]."""

    def __init__(self, classifier: Classifier, device: torch.device) -> None:
        self._classifier = classifier
        self._network = nn.Sequential(classifier.encoder, classifier.head).to(device)
        self._device = device

    def __call__(self, pictures: Tensor) -> Tensor:
        """Returns the class (N,) of each picture."""
        with torch.no_grad(), eval_mode(self._network):
            batches = [
                self._network(self._classifier.preprocessing.normalized(some.to(self._device)))
                for some in torch.split(pictures.float(), BATCH)
            ]
        return torch.cat(batches).argmax(dim=1).cpu()


def train_judge(
    train: ImageSet, num_classes: int, seed: int, compute: Compute, track: Track
) -> Judge:
    """Returns a judge that learned from labelled pictures; generators stay as they are."""
    middle = (0.5,) * train.channels
    fed = Preprocessing(train.resolution, train.channels, middle, middle)
    with kept_generators():
        seed_generators(derive_seed(seed, "judge"))
        grid = max(1, min(4, train.resolution // 7))
        encoder = ConvNetConfig(grid=grid).build(train.channels, train.resolution)
        classifier = Classifier.of(encoder, num_classes, fed, patience=1)
        _train(classifier, train, derive_seed(seed, "judge"), compute, track)
    return Judge(classifier, compute.device)


def _train(
    classifier: Classifier, train: ImageSet, seed: int, compute: Compute, track: Track
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
    for step in track(range(num_steps), total=num_steps, label="training the judge"):
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
