"""Exports the losses, which are pure functions of tensors.

They hold no state and know nothing of methods. Importing this does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslcli.lazy import exports

if TYPE_CHECKING:
    from sslcli.losses.adversarial import discriminator_loss as discriminator_loss
    from sslcli.losses.adversarial import generator_loss as generator_loss
    from sslcli.losses.clustering import cross_view_entropy as cross_view_entropy
    from sslcli.losses.clustering import sinkhorn as sinkhorn
    from sslcli.losses.codes import contraction as contraction
    from sslcli.losses.codes import mean_activity as mean_activity
    from sslcli.losses.codes import normal_divergence as normal_divergence
    from sslcli.losses.contrastive import dcl as dcl
    from sslcli.losses.contrastive import nt_xent as nt_xent
    from sslcli.losses.contrastive import rank_accuracy as rank_accuracy
    from sslcli.losses.decorrelation import barlow_twins as barlow_twins
    from sslcli.losses.decorrelation import covariance as covariance
    from sslcli.losses.decorrelation import invariance as invariance
    from sslcli.losses.decorrelation import variance as variance
    from sslcli.losses.distillation import similarity_entropy as similarity_entropy
    from sslcli.losses.gaussianity import random_directions as random_directions
    from sslcli.losses.gaussianity import sigreg as sigreg
    from sslcli.losses.masked import hidden_absolute_error as hidden_absolute_error
    from sslcli.losses.masked import hidden_squared_error as hidden_squared_error
    from sslcli.losses.masked import normalized_patches as normalized_patches
    from sslcli.losses.queries import info_nce as info_nce
    from sslcli.losses.queries import info_nce_with_queue as info_nce_with_queue
    from sslcli.losses.reconstruction import cross_entropy as cross_entropy
    from sslcli.losses.reconstruction import masked_squared_error as masked_squared_error
    from sslcli.losses.reconstruction import squared_error as squared_error
    from sslcli.losses.regression import mean_cosine as mean_cosine
    from sslcli.losses.supervised import sup_con as sup_con

HOME = {
    "barlow_twins": "decorrelation",
    "contraction": "codes",
    "covariance": "decorrelation",
    "cross_entropy": "reconstruction",
    "cross_view_entropy": "clustering",
    "dcl": "contrastive",
    "discriminator_loss": "adversarial",
    "generator_loss": "adversarial",
    "hidden_absolute_error": "masked",
    "hidden_squared_error": "masked",
    "info_nce": "queries",
    "info_nce_with_queue": "queries",
    "invariance": "decorrelation",
    "masked_squared_error": "reconstruction",
    "mean_activity": "codes",
    "mean_cosine": "regression",
    "normal_divergence": "codes",
    "normalized_patches": "masked",
    "nt_xent": "contrastive",
    "random_directions": "gaussianity",
    "rank_accuracy": "contrastive",
    "sigreg": "gaussianity",
    "similarity_entropy": "distillation",
    "sinkhorn": "clustering",
    "squared_error": "reconstruction",
    "sup_con": "supervised",
    "variance": "decorrelation",
}

__getattr__ = exports(__name__, HOME)
