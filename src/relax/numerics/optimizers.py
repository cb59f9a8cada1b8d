"""The optimisers: Adam and RMSProp, elementwise, so that stacked replicas do not meet in them.

They do what `torch.optim` does, without its classes: making an object of one imports torch's
compiler, which takes as long as most of torch, and sorts its tensors anew at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from relax.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from torch import Tensor


class Optimizer:
    """What the two share. Each has `parameters`, `step()`, and `states()`, a list of tuples."""

    if TYPE_CHECKING:
        parameters: list[Tensor]

        def states(self) -> list[tuple[Tensor, ...]]: ...

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, but for the parameters."""
        return {"states": self.states()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go back to what `state_dict` gave."""
        for state, given in zip(self.states(), saved["states"], strict=True):
            for tensor, value in zip(state, given, strict=True):
                tensor.copy_(value)


class RMSProp(Optimizer):
    """RMSProp (Tieleman & Hinton, 2012), not centred and without momentum:

        v <- decay v + (1 - decay) g²,    θ <- θ - rate g / (√v + ε)

    Args:
        parameters: tensors.
        rate: learning rate.
        decay: of the running mean of g².
        epsilon: ε.
    """

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, decay: float = 0.99, epsilon: float = 1e-8
    ) -> None:
        self.parameters, self.rate = list(parameters), rate
        self.decay, self.epsilon = decay, epsilon
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for parameter, square in zip(self.parameters, self.squares, strict=True):
            gradient = parameter.grad
            if gradient is None:
                continue
            square.mul_(self.decay).addcmul_(gradient, gradient, value=1 - self.decay)
            parameter.addcdiv_(gradient, square.sqrt().add_(self.epsilon), value=-self.rate)

    def states(self) -> list[tuple[Tensor, ...]]:
        """The running means."""
        return [(square,) for square in self.squares]


def adam(groups: Iterable[tuple[Any, ...]], beta2: float = 0.999) -> Adam | None:
    """One Adam for everything that a run learns, or None where there is nothing to learn.

    It is elementwise, so every replica of the stacked parameters keeps its own moments.

    Args:
        groups: tuples (parameters, learning rate) or (parameters, learning rate, weight decay);
            parameters that need no gradient are left out. A learning rate may be a tuple: the
            replicas then fall into as many equal blocks, and each block has its own. The decay
            adds that multiple of the parameter to its gradient.
        beta2: decay of the second moment.
    """
    groups = [
        (parameter, rate if isinstance(rate, tuple) else (rate,), sum(decay))
        for parameters, rate, *decay in groups
        for parameter in parameters
        if parameter.requires_grad
    ]
    return Adam(groups, beta2) if groups else None


class Adam(Optimizer):
    """Torch's fused Adam step (Kingma & Ba, 2015), on parameters or on blocks of their replicas.

    A block is a tensor on its parameter's own memory, with a learning rate of its own.

    Args:
        groups: tuples (parameter, learning rates, weight decay).
        beta2: decay of the second moment.

    Raises:
        ArgumentError: a parameter does not lie in memory as its shape says.
    """

    def __init__(
        self, groups: Sequence[tuple[Tensor, tuple[float, ...], float]], beta2: float
    ) -> None:
        self.beta2 = beta2
        self.parameters = [parameter for parameter, *_ in groups]
        for parameter in self.parameters:
            if not parameter.is_contiguous():  # see `step`
                raise ArgumentError(
                    f"a parameter of shape {list(parameter.shape)} is not contiguous in memory, "
                    "and would be moved by other elements' gradients: make it of a .contiguous() "
                    "tensor"
                )
        # How often each parameter was stepped, in one tensor, so that it can be counted at once.
        self.counts = torch.zeros(len(groups), device=self.parameters[0].device)
        self.blocks = []  # of each parameter: blocks in turn
        for (parameter, rates, decay), count in zip(groups, self.counts, strict=True):
            blocks = parameter.detach().chunk(len(rates))
            pairs = zip(blocks, rates, strict=True)
            self.blocks.append([_Block.fresh(block, count, rate, decay) for block, rate in pairs])
        self._calls: dict[tuple[bool, ...], tuple[Tensor, list[Any]]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = tuple(parameter.grad is not None for parameter in self.parameters)
        if moved not in self._calls:
            self._calls[moved] = self._plan(moved)
        counted, calls = self._calls[moved]
        self.counts += counted
        gradients: list[Tensor] = []
        for parameter, blocks in zip(self.parameters, self.blocks, strict=True):
            if parameter.grad is None:
                continue
            # The fused step reads memory as it lies. Handed a transposed gradient, as automatic
            # differentiation gives for some weights, it would take its elements for others'.
            gradient = parameter.grad.contiguous()
            gradients += gradient.chunk(len(blocks)) if len(blocks) > 1 else (gradient,)
        for (rate, decay), places, parameters, first, second, counts in calls:
            torch._fused_adam_(
                parameters,
                [gradients[place] for place in places],
                first,
                second,
                [],
                counts,
                lr=rate,
                beta1=0.9,
                beta2=self.beta2,
                weight_decay=decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )

    def _plan(self, moved):
        """What a step that moves these parameters counts, and its calls of the fused step.

        There is one call for all blocks with the same rate and decay: where their gradients are
        among all, and the lists of their tensors.
        """
        blocks = [
            b for blocks, moves in zip(self.blocks, moved, strict=True) if moves for b in blocks
        ]
        alike: dict[tuple[float, float], list[Any]] = {}
        for place, block in enumerate(blocks):
            alike.setdefault((block.rate, block.decay), []).append((place, *block[:4]))
        calls = [(key, *map(list, zip(*those, strict=True))) for key, those in alike.items()]
        return torch.tensor(moved, dtype=torch.float32, device=self.counts.device), calls

    def states(self) -> list[tuple[Tensor, ...]]:
        """Of every block."""
        return [block.state for blocks in self.blocks for block in blocks]


class _Block(NamedTuple):
    """What the fused step needs of a block, with its rate and decay."""

    values: torch.Tensor
    first: torch.Tensor  # moments, like the values
    second: torch.Tensor
    count: torch.Tensor  # type: ignore[assignment]  # hides tuple's; how often it was stepped, a scalar
    rate: float
    decay: float

    @classmethod
    def fresh(cls, values: Tensor, count: Tensor, rate: float, decay: float) -> _Block:
        return cls(values, torch.zeros_like(values), torch.zeros_like(values), count, rate, decay)

    @property
    def state(self) -> tuple[Tensor, ...]:
        return self.first, self.second, self.count
