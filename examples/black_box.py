"""A cost of your own, to copy: choose among 20 items, as a black box that is only ever evaluated.

    python -m relax examples/black_box.py:cost --latents 20
    snakemake --cores 2 table_own figure_own

Every bit says whether an item is packed. An item has a value and a weight; what is packed beyond
the limit costs more than it is worth, and some pairs of items do not go together.

For your own problem copy this file, write your own `cost`, and name it in a configuration:

    own:
      file: my_problem.py
      function: cost
      latents: 12
"""

import numpy as np
import torch

ITEMS, LIMIT = 20, 5.0
draw = np.random.default_rng(7)
VALUES = draw.uniform(0.2, 1.0, ITEMS)
WEIGHTS = draw.uniform(0.2, 1.0, ITEMS)
QUARRELS = [tuple(draw.choice(ITEMS, 2, replace=False)) for _ in range(15)]


def cost(b):
    """b [rows, 20], zeros and ones, -> what each packing is short of, [rows].

    numpy is at work inside: nothing here can be differentiated, and nothing need be. A cost made of
    torch operations can be, and more estimators then run.
    """
    packed = b.numpy()
    value = packed @ VALUES
    excess = np.maximum(packed @ WEIGHTS - LIMIT, 0.0)
    quarrels = sum(packed[:, i] * packed[:, j] for i, j in QUARRELS)
    return torch.from_numpy(2.0 * excess + 0.5 * quarrels - value)
