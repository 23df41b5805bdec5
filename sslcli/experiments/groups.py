"""Lists the config groups and the choices of each."""

from __future__ import annotations

from sslcli.config import Groups
from sslcli.data import DATA
from sslcli.engine.optim_config import OPTIMIZERS
from sslcli.engine.runtime_config import RuntimeConfig
from sslcli.methods import METHODS
from sslcli.nets.encoders import ENCODERS

GROUPS: Groups = {
    "method": METHODS,
    "encoder": ENCODERS,
    "data": DATA,
    "optim": OPTIMIZERS,
    "runtime": {"default": RuntimeConfig},
}
