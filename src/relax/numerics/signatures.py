"""Types that signatures all over the library share."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

# f: b [replica, batch, latent] -> [replica, batch].
Cost: TypeAlias = Callable[[Tensor], Tensor]
# One a replica.
Generators: TypeAlias = Sequence[np.random.Generator]
# A value and its slope; nodes and their weights; z~ and its derivative.
Pair: TypeAlias = tuple[Tensor, Tensor]
# (*weights, wanted) -> the derivatives in each input, None where they are not wanted.
Derivatives: TypeAlias = Callable[..., tuple[Tensor | None, ...]]
