"""Opening model files without ever executing anything in them, one format a file.

`sniff` tells a file's format from its first bytes, `read_state` reads tensors by name, `fit_state` puts them into a
network, and `load_network` does whatever a format needs and hands out a `Loaded`.
"""

from assay.targets.loading.network import Loaded, load_network
from assay.targets.loading.sniff import ENDINGS, check_format, sniff
from assay.targets.loading.state import State, fit_state, read_state

__all__ = ["ENDINGS", "Loaded", "State", "check_format", "fit_state", "load_network", "read_state", "sniff"]
