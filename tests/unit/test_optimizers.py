"""The optimisers: the fused steps are those of the textbook, whatever the gradients look like."""

import numpy as np
import pytest
import torch

from relax.data.images import Images
from relax.estimators.registry import estimator_names
from relax.experiments.vae import trainer as vae_trainer
from relax.experiments.vae.trainer import Minibatches, Trainer, VAESettings
from relax.numerics.optimizers import RMSProp, adam
from relax.numerics.streams import generator
from relax.surrogates.base import SurrogateSpec


class Adam:
    """Kingma & Ba, 2015, algorithm 1, as it stands there; no decay of the weights."""

    def __init__(self, groups, beta2=0.999):
        self.rates = [(p, rate) for ps, (rate,), *_ in groups for p in ps if p.requires_grad]
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p, _ in self.rates]
        self.beta2, self.steps = beta2, 0
        self.param_groups = [{"params": [p for p, _ in self.rates]}]

    def zero_grad(self):
        for p, _ in self.rates:
            p.grad = None

    def step(self):
        self.steps += 1
        corrections = (1 - 0.9**self.steps, 1 - self.beta2**self.steps)
        with torch.no_grad():
            for (p, rate), (m, v) in zip(self.rates, self.moments, strict=True):
                if p.grad is not None:
                    m.copy_(0.9 * m + 0.1 * p.grad)
                    v.copy_(self.beta2 * v + (1 - self.beta2) * p.grad**2)
                    p -= rate * (m / corrections[0]) / ((v / corrections[1]).sqrt() + 1e-8)


def test_a_transposed_gradient_is_taken_for_what_it_is():
    """Laid out in memory as it comes, or as its parameter: the same step."""
    gradient = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    start = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
    stepped = []
    for given in (gradient.transpose(1, 2), gradient.transpose(1, 2).contiguous()):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = adam([([parameter], 0.1)])
        parameter.grad = given
        optimizer.step()
        stepped.append(parameter.detach())
    assert torch.equal(*stepped)


@pytest.mark.parametrize("layout", ["plain", "transposed"])
def test_rmsprop_is_torchs(layout):
    """To the last bit; it goes on from a saved state, and leaves alone what has no gradient."""
    mine, others = (torch.nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2))
    still = torch.nn.Parameter(torch.ones(2))
    optimizer = RMSProp([still, mine], 0.01, epsilon=1e-5)
    torchs = torch.optim.RMSprop([others], 0.01, alpha=0.99, eps=1e-5, foreach=False)
    for step in range(6):
        if step == 3:
            saved = optimizer.state_dict()
            optimizer = RMSProp([still, mine], 0.01, epsilon=1e-5)
            optimizer.load_state_dict(saved)
        gradient = torch.randn(4, 3, generator=torch.Generator().manual_seed(step)).T
        mine.grad = others.grad = gradient if layout == "transposed" else gradient.contiguous()
        optimizer.step()
        torchs.step()
    assert torch.equal(mine, others)
    assert still.tolist() == [1, 1]


LATENTS, STEPS = 5, 200


def trained(name, build=adam, steps=STEPS):
    """Parameters of a small VAE and of its surrogates, which have two hidden layers, by name."""
    spec = SurrogateSpec(
        hidden=(6, 6), activation="relu", squash=False, add_relaxed_cost=True, dtype=torch.float32
    )
    settings = VAESettings(
        "toy", "linear2", name, 0.003, range(2), batch=8, latents=LATENTS, spec=spec
    )
    pixels = np.linspace(0.1, 0.9, 12)
    draws = generator(0, "split").random((70, 12)) < pixels
    tensor = torch.from_numpy(draws.astype(np.float32))
    images = Images(tensor[:50], tensor[50:60], tensor[60:], (3, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae_trainer, "adam", build)
        trainer = Trainer(settings, images)
    batches = Minibatches(images.train, settings.seeds, settings.batch)
    noise = settings.noise_stream("noise")
    for step in range(steps):
        trainer.step(step + 1, batches(step), noise(step))
    return trainer.learned.state_dict()


@pytest.mark.parametrize("name", [n for n in estimator_names() if n != "exact"])
def test_training_is_that_of_the_textbook(name):
    """After 200 steps every parameter is where Adam's own formulas bring it, to rounding.

    Some slopes of RODEO's network are rounding alone, float32's, and Adam divides them by their own
    size: there 20 steps are compared.
    """
    steps = 20 if name == "rodeo" else STEPS
    fast, plain = trained(name, steps=steps), trained(name, Adam, steps)
    for key, value in fast.items():
        torch.testing.assert_close(value, plain[key], rtol=1e-3, atol=1e-4, msg=key)


def test_a_wrong_layout_would_be_seen():
    """The control: with the gradients of square weights transposed, RELAX goes elsewhere."""

    class Transposed(Adam):
        def step(self):
            for parameter, _ in self.rates:
                if parameter.grad is not None and parameter.shape[-1] == parameter.shape[-2] == 6:
                    parameter.grad = parameter.grad.transpose(1, 2)
            super().step()

    fast, wrong = trained("relax"), trained("relax", Transposed)
    assert any(not torch.allclose(fast[key], wrong[key], rtol=1e-3, atol=1e-4) for key in fast)
