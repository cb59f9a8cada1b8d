"""Concrete's bias beside its variance, at a checkpoint of a finished training run.

    python docs/concrete_bias.py results/mnist_deep nonlinear 30000

For the encoder's minibatch gradient, as a mean over its parameters: REBAR's variance, which is its
mean squared error; Concrete's variance; and the square of Concrete's bias, estimated without bias
from n draws of the difference d of the two estimates with the same noise, mean(d)² - var(d)/n.
"""

import sys
from pathlib import Path

import torch

from relax.data.images import load_images
from relax.experiments.vae.frozen import FrozenRun, load_model
from relax.experiments.vae.trainer import VAESettings
from relax.surrogates.base import SurrogateSpec

MINIBATCHES, DRAWS, TUNING = 10, 200, 1000


def gradient(frozen, x, noise):
    """The encoder's minibatch gradient: [replica, parameter]."""
    with torch.no_grad():
        estimate = frozen.estimate(x, noise)
    gradients = [layer.gradient / frozen.settings.batch for layer in estimate.layers]
    below = [x, *(layer.sample for layer in estimate.layers[:-1])]
    logits = [frozen.model.encode(layer, value) for layer, value in enumerate(below)]
    received = torch.autograd.grad(logits, list(frozen.model.encoders.parameters()), gradients)
    return torch.cat([g.flatten(1) for g in received], 1)


def main(results, model, step):
    torch.set_num_threads(1)
    (run,) = (Path(results) / "vae").glob(f"*/{model}/rebar/lr*/seeds*")
    dataset, rate = run.parts[-5], float(run.parts[-2].removeprefix("lr"))
    first, last = map(int, run.name.removeprefix("seeds").split("-"))
    images = load_images(Path(results) / "data" / f"{dataset}.npz")
    settings = VAESettings(
        dataset=dataset,
        model=model,
        estimator="rebar",
        learning_rate=rate,
        seeds=range(first, last + 1),
        spec=SurrogateSpec(
            latents=200,
            hidden=(200, 200),
            activation="relu",
            squash=False,
            add_relaxed_cost=True,
            dtype=torch.float32,
        ),
    )
    frozen = {name: FrozenRun(settings, images, name) for name in ("rebar", "concrete")}
    for each in frozen.values():
        load_model(each.model, run / f"checkpoint_{step}.pt")
    frozen["rebar"].tune(TUNING)
    sums = torch.zeros(3, len(settings.seeds), dtype=torch.float64)
    for minibatch in range(MINIBATCHES):
        x = frozen["rebar"].fixed_batches(minibatch)
        mean, square = {}, {}
        for draw in range(DRAWS):
            noise = frozen["rebar"].fresh_noise(minibatch * DRAWS + draw)
            drawn = {name: gradient(each, x, noise).double() for name, each in frozen.items()}
            drawn["difference"] = drawn["concrete"] - drawn["rebar"]
            for name, g in drawn.items():
                mean[name] = mean.get(name, 0) + g / DRAWS
                square[name] = square.get(name, 0) + g.square() / DRAWS
        variance = {n: (square[n] - mean[n].square()) * DRAWS / (DRAWS - 1) for n in mean}
        bias = mean["difference"].square() - variance["difference"] / DRAWS
        for row, value in enumerate((variance["rebar"], variance["concrete"], bias)):
            sums[row] += value.mean(1) / MINIBATCHES
    rebar, concrete, bias = sums
    print(
        f"{dataset} {model}, step {step}, {len(rebar)} seeds, {MINIBATCHES} minibatches x {DRAWS}"
    )
    for name, value in (
        ("REBAR's variance", rebar),
        ("Concrete's variance / REBAR's", concrete / rebar),
        ("Concrete's squared bias / REBAR's variance", bias / rebar),
        ("Concrete's mean squared error / REBAR's", (concrete + bias) / rebar),
    ):
        print(f"  {name}: {value.mean():.4g} ± {value.std() / len(value) ** 0.5:.2g}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
