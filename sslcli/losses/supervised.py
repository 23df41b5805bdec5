"""The supervised contrastive loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from sslcli.losses.precision import full_precision


def sup_con(
    z: Tensor, labels: Tensor, temperature: float, base_temperature: float | None = None
) -> Tensor:
    """Returns the loss L_out of embeddings (V·N, D), view by view.

    `labels` (N,): pictures of one label are each other's positives, as are a picture's views; with
    a label of its own for each picture it is NT-Xent. The mean over the V·N anchors, times
    `temperature` / `base_temperature` (by default 1). Computed in float32 at least, under autocast
    too. Source: Khosla et al. 2020, eq. 2. Differs from the official code in the default: its base
    temperature is 0.07.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = F.normalize(full_precision(z), dim=1)
        labels = labels.repeat(len(z) // len(labels))
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        logits = (z @ z.T / temperature).masked_fill(itself, float("-inf"))
        log_share = (logits - logits.logsumexp(dim=1, keepdim=True)).masked_fill(itself, 0.0)
        positive = (labels[:, None] == labels).logical_and(~itself)
        loss = -(log_share * positive).sum(dim=1) / positive.sum(dim=1)
        return loss.mean() * (temperature / (base_temperature or temperature))
