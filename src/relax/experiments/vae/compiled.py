"""The step of a training as one compiled program, for any estimator.

What is compiled is the code that runs otherwise (`relax.experiments.vae.gradients`): written down
as a function of tensors alone, from parameters, images and noise to the costs and every gradient.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from relax.errors import ConfigError
from relax.estimators.learning import learn_surrogates
from relax.estimators.registry import REGISTRY
from relax.experiments.vae.gradients import encoder_estimate, set_model_gradients
from relax.numerics import devices
from relax.numerics.compiled import Compiled, fails
from relax.numerics.streams import Noise

CHOICES = ("auto", "always", "never")
# Steps from which on `auto` compiles: docs/performance.md has the arithmetic.
ENOUGH = 20_000


@dataclass
class Found:
    """What a step needs of an `EncoderEstimate`: the costs, and the estimates by name."""

    cost: Tensor  # [replica, samples * batch]
    gradients: dict[str, Tensor]  # [replica, batch, latent] each


class CompiledGradients:
    """(x, noise) -> `Found`; every parameter is given its gradient.

    Args:
        estimator: `relax.estimators.formula.Estimator`.
        model: `DiscreteVAE`.
        surrogates: one a stochastic layer.
        direct: as in `encoder_estimate`.
    """

    def __init__(self, estimator, model, surrogates, direct):
        step = _Step(estimator, model, surrogates, direct)
        self.step, self.program = step, Compiled(self._of_tensors)
        held = {**dict(step.named_parameters()), **dict(step.named_buffers())}
        self.names, self.tensors = list(held), [tensor.detach() for tensor in held.values()]
        self.learned = [(n, p) for n, p in step.named_parameters() if p.requires_grad]

    def __call__(self, x, *noise):
        inputs = (tensor.contiguous() for tensor in (x, *noise))
        cost, *found = self.program(*self.tensors, *inputs)
        for _, parameter in reversed(self.learned):
            parameter.grad = found.pop()
        return Found(cost, dict(zip(self.gradients, found, strict=True)))

    def _of_tensors(self, *tensors):
        """The same of tensors alone: costs, estimates, and the parameters' gradients in turn."""
        count, wanted = len(self.names), {name for name, _ in self.learned}
        held = {
            name: tensor.detach().requires_grad_(name in wanted)
            for name, tensor in zip(self.names, tensors, strict=False)
        }
        with torch.enable_grad():
            estimate = functional_call(self.step, held, tensors[count:])
        self.gradients = list(estimate.gradients)
        estimates = [gradient.detach() for gradient in estimate.gradients.values()]
        own = [held[name].grad.contiguous() for name, _ in self.learned]
        return [estimate.cost.detach(), *estimates, *own]


class _Step(nn.Module):
    """Estimates, and both gradients, as a module: its parameters can be exchanged for a call."""

    def __init__(self, estimator, model, surrogates, direct):
        super().__init__()
        self.estimator, self.direct = estimator, direct
        self.model, self.surrogates = model, surrogates

    def forward(self, x, *noise):
        noise = Noise(*noise)
        estimate = encoder_estimate(
            self.estimator, self.surrogates, self.model, x, noise, self.direct
        )
        learn_surrogates(self.estimator, self.surrogates, estimate.layers)
        set_model_gradients(estimate, list(self.model.parameters()))
        return estimate


def choose(choice, settings, device, log=None):
    """Whether a run's step is to be compiled, with a word on it for the log.

    Args:
        choice: the configuration's `vae.compile`, one of `CHOICES`. "auto" compiles on a processor,
            where the run is long enough to repay it and the machine can.
        settings: `VAESettings`.
        device: `torch.device` of the run.
        log: an open file, or None.

    Raises:
        ConfigError: "always", and this machine or this estimator cannot.
    """
    if choice not in CHOICES:
        raise ConfigError(f"vae.compile: must be one of {', '.join(CHOICES)}; got {choice!r}")
    reason = {"never": "vae.compile is never"}.get(choice)
    if reason is None and REGISTRY[settings.estimator].max_latents is not None:
        reason = f"{settings.estimator} enumerates: a program of it would have no end"
    if reason is None and choice == "auto":
        if device.type != "cpu":
            reason = "on a GPU the step is captured"
        elif settings.steps < ENOUGH:
            reason = f"fewer than {ENOUGH:,} steps do not repay the compiling"
    reason = reason or fails()
    if choice == "always" and reason:
        raise ConfigError(f"vae.compile: 'always' is asked for, and {reason}; set it to auto")
    if log is not None:
        log.write(f"step: {f'plain ({reason})' if reason else 'compiled'}\n")
    return reason is None


def device_and_step(config, settings, log=None):
    """Of a configuration, the `torch.device` of a run, and whether its step is compiled.

    Raises:
        ConfigError: as both `choose`.
    """
    device = devices.choose(config["device"])
    return device, choose(config["vae"]["compile"], settings, device, log)
