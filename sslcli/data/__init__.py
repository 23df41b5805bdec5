"""Maps the names of data sets to their configs.

Importing this imports neither torch, torchvision nor PIL.
"""

from __future__ import annotations

from sslcli.choices import Choices
from sslcli.data.amat import AmatConfig
from sslcli.data.arrays import ArraysConfig
from sslcli.data.data_config import DataConfig
from sslcli.data.folder import FolderConfig
from sslcli.data.mnist import FashionMNISTConfig, MNISTConfig
from sslcli.data.parquet import ParquetConfig
from sslcli.data.sample import FashionSampleConfig
from sslcli.data.shards import ShardsConfig
from sslcli.data.table import TableConfig
from sslcli.data.torchvision_sets import CIFAR10Config, CIFAR100Config, STL10Config, SVHNConfig

DATA: Choices[DataConfig] = Choices(
    "data source",
    DataConfig,
    {
        "fashion_sample": FashionSampleConfig,
        "cifar10": CIFAR10Config,
        "cifar100": CIFAR100Config,
        "stl10": STL10Config,
        "svhn": SVHNConfig,
        "mnist": MNISTConfig,
        "fashion_mnist": FashionMNISTConfig,
        "folder": FolderConfig,
        "table": TableConfig,
        "shards": ShardsConfig,
        "parquet": ParquetConfig,
        "arrays": ArraysConfig,
        "amat": AmatConfig,
    },
    "sslcli.data",
)
