"""Learns the similarities that a teacher sees between pictures: SEED."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sslcli.losses.precision import full_precision


def similarity_entropy(
    student: Tensor,
    teacher: Tensor,
    stored: Tensor,
    temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Returns the mean cross-entropy of the teacher's similarities in the student's.

    Row i of `student` and row i of `teacher` (N, D) are one picture's. Both are compared, by cosine
    similarity, with the teacher's embeddings of other pictures, `stored` (K, D), and of the picture
    itself, which a softmax over K + 1 turns into shares. The teacher gets no gradient. Computed in
    float32 at least, under autocast too. Source: Fang et al. 2021 (SEED), eq. 3 to 6.
    """
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = _direction(student), _direction(teacher.detach())
        stored = _direction(stored.to(teacher))
        targets = (_scores(teacher, teacher, stored) / teacher_temperature).softmax(dim=1)
        log_shares = (_scores(student, teacher, stored) / temperature).log_softmax(dim=1)
        return -(targets * log_shares).sum(dim=1).mean()


def _scores(rows: Tensor, own: Tensor, stored: Tensor) -> Tensor:
    """(N, 1 + K) cosine similarities: with the row's own one first."""
    return torch.cat([(rows * own).sum(dim=1, keepdim=True), rows @ stored.T], dim=1)


def _direction(z: Tensor) -> Tensor:
    return F.normalize(full_precision(z), dim=1)
