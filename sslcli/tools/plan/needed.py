"""Counts what a planned run needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import nn

from sslcli.engine.live_memory import num_bytes
from sslcli.engine.rehearsal import Needs, Rehearsal
from sslcli.engine.shards import large_layers
from sslcli.experiments.pretrain_warnings import size_in_words
from sslcli.tools.plan.fit import largest_chunks, largest_fitting
from sslcli.tools.plan.machine import Machine
from sslcli.tools.plan.subject import Subject


@dataclass(frozen=True)
class Plan:
    """Says what a subject needs on a machine."""

    subject: Subject
    machine: Machine

    @cached_property
    def learner(self) -> Any:
        return self.subject.build()

    @cached_property
    def in_words(self) -> str:
        """Returns what the run itself says before its first step."""
        size, encoder = self.subject.batch_size, self.subject.kept(self.learner)
        in_epoch = self.subject.steps_per_epoch(size)
        return size_in_words(self.learner, encoder, self.num_steps, in_epoch, size)

    @cached_property
    def num_steps(self) -> int:
        return self.subject.num_steps(self.subject.batch_size)

    @cached_property
    def rehearsal(self) -> Rehearsal:
        subject = self.subject
        in_epoch = subject.steps_per_epoch(subject.batch_size)
        compute, optim = subject.compute, subject.optim
        alone = Rehearsal.of(self.learner, optim, compute, self.num_steps, in_epoch)
        return replace(alone, processes=self.machine.processes)

    @cached_property
    def step(self) -> Needs:
        """Returns what a step of the subject's own batch needs of each process."""
        return self.needs(self.subject.batch_size)

    def needs(self, batch_size: int, chunk_size: int | None = None) -> Needs:
        """Returns what a process needs for its share of a batch of all processes together."""
        rehearsal, num = self.rehearsal, self.machine.processes
        if chunk_size is not None:
            chunked = dataclasses.replace(rehearsal.learner, chunk_size=chunk_size)  # type: ignore[type-var]
            rehearsal = replace(rehearsal, learner=chunked)
        own = -(-batch_size // num)
        return rehearsal.needs(lambda device: self.subject.batch(own, device))

    @property
    def can_be_chunked(self) -> bool:
        fields = dataclasses.fields(self.learner)
        return any(field.name == "chunk_size" for field in fields)

    def largest_batch(self, memory: int) -> int:
        """Returns about the largest batch of all processes that fits; 0: none."""
        first, num = self.subject.batch_size, self.machine.processes
        own = largest_fitting(
            lambda size: self.needs(size * num).peak,
            memory,
            -(-first // num),
            self.subject.num_images // num,
        )
        return own * num

    def largest_chunks(self, memory: int) -> int | None:
        """Returns the largest chunk_size with which the subject's batch fits; None: none."""
        size = self.subject.batch_size
        return largest_chunks(lambda chunk: self.needs(size, chunk).peak, memory, size)

    @property
    def sent(self) -> int:
        """Returns the bytes that a process sends in a step to average the gradients.

        No less is possible where each has the mean at the end: 2 (N - 1) / N of the gradients.
        """
        num = self.machine.processes
        return 2 * (num - 1) * self.step.gradients // num

    @property
    def shared_out(self) -> int:
        """Returns how many bytes fewer a process holds, at most, with runtime.parallel=shard.

        Of the large layers' weights, their gradients and what the optimizer remembers of them.
        """
        network, num = nn.ModuleDict(self.learner.modules()), self.machine.processes
        weights = [weight for layer in large_layers(network) for weight in layer.parameters()]
        trained = num_bytes([weight for weight in weights if weight.requires_grad])
        own = num_bytes([*network.parameters(), *network.buffers()])
        state = (self.step.saved - own) * trained // max(1, self.step.gradients)
        return (num - 1) * (num_bytes(weights) + trained + state) // num

    @property
    def on_disk(self) -> int:
        """Returns the bytes of the checkpoints that are kept, and of the encoders."""
        kept = min(self.subject.recording.keep_last, self.num_steps)
        encoder = num_bytes(list(self.subject.kept(self.learner).state_dict().values()))
        return self.subject.times * kept * self.step.saved + self.subject.encoders * encoder
