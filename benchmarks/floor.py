"""The arithmetic floor: the matrix products that a training step cannot do without, and no more.

A step's products are counted by hand below, each with the reason why it is there; what is
elementwise, the optimiser and the drawing of noise are left out. No estimator's step can be faster
than its products, unless it multiplies less than is counted here.

Three kinds of products are told apart, of a map W [inputs, outputs] and a minibatch:

    forward    h W       [batch, inputs] -> [batch, outputs]    values, and tangents of values
    back       d Wᵀ      [batch, outputs] -> [batch, inputs]    derivatives, from outputs to inputs
    gradient   hᵀ d      [inputs, outputs]                      the derivative in W itself

Products of one kind and map that stand next to each other are one, of so many minibatches: a linear
decoder is gone through at the hard value, the relaxed one and along its tangent at once, as in the
package.
"""

import functools
import itertools

import torch
from cases import ESTIMATORS, HIDDEN, LATENTS, PIXELS

from relax.numerics.products import is_large, one

# Maps of each model, by name: inputs and outputs. Encoders e, decoders d, numbered from the input.
WIDTHS = {
    "linear1": {"e1": (PIXELS, LATENTS), "d1": (LATENTS, PIXELS)},
    "linear2": {
        "e1": (PIXELS, LATENTS),
        "e2": (LATENTS, LATENTS),
        "d2": (LATENTS, LATENTS),
        "d1": (LATENTS, PIXELS),
    },
    "nonlinear": {
        "e1": (PIXELS, LATENTS),
        "e2": (LATENTS, LATENTS),
        "e3": (LATENTS, LATENTS),
        "d1": (LATENTS, LATENTS),
        "d2": (LATENTS, LATENTS),
        "d3": (LATENTS, PIXELS),
    },
}
# The same maps by what they do: the encoder's and the decoder's, in the order of computation. On
# `linear2` each encoder is one map, with an estimate of its own at its outputs.
ENCODERS = {"linear1": [["e1"]], "linear2": [["e1"], ["e2"]], "nonlinear": [["e1", "e2", "e3"]]}
DECODERS = {"linear1": [["d1"]], "linear2": [["d2"], ["d1"]], "nonlinear": [["d1", "d2", "d3"]]}
# What the cost is computed with from the relaxed value of one stochastic layer, a layer a line.
# The first layer of `linear2` goes down to the image, and up to the second layer and down again.
RELAXED = {
    "linear1": [["d1"]],
    "linear2": [["d1", "e2", "d2"], ["d2"]],
    "nonlinear": [["d1", "d2", "d3"]],
}


def forward(maps):
    return [("forward", name) for name in maps]


def back(maps):
    return [("back", name) for name in reversed(maps)]


def gradient(maps):
    return [("gradient", name) for name in maps]


def gradient_products(model):
    """Logits, and the gradients of the model's own weights: what every estimator's step needs."""
    products = []
    for maps in ENCODERS[model]:
        products += forward(maps)  # logits of q
        products += gradient(maps)  # from the estimate, which is given in the logits
        products += back(maps[1:])  # the estimate, carried to the hidden layers below the logits
    for maps in DECODERS[model]:
        products += gradient(maps)  # ∂f(b) in their weights
        products += back(maps[1:])  # ∂f(b), carried to the hidden layers; b itself needs none
    return products


def cost_products(model, passes):
    """f(b), and f with its derivatives at one more point: so many passes through its maps.

    None: the hard value is all. One: f and its slope at the relaxed value (Concrete) or at the mean
    (MuProp). Two: ∂φ g² for η and λ as well. η needs no product. What λ needs is the curvature of f
    along ∂y/∂λ: a tangent carried forward, and what becomes of it carried back.
    """
    products = []
    for decoder, maps in zip(reversed(DECODERS[model]), RELAXED[model], strict=True):
        products += forward(decoder)  # p's logits at the hard sample
        if len(decoder) == 1:
            products += [p for p in forward(maps) + back(maps) for _ in range(passes)]
        else:
            products += (forward(maps) + back(maps)) * passes
    return products


def network_products(layer):
    """RELAX's network of [context, z] above stochastic layer `layer`: r, ∂r/∂z, and ∂φ g².

    ReLU's second derivative is zero, so that the slope is linear in each weight. Of the first
    layer's weights, the part that belongs to z is called "z".
    """
    first, *others = (f"r{layer}.{i}" for i in range(len(HIDDEN) + 1))
    inner, z = others[:-1], f"r{layer}.z"
    products = forward([first, *others])  # r
    # The slope, from the output down to z. From the output's one unit to the last hidden layer it
    # is a product with a number, that is, elementwise.
    products += back([z, *inner])
    # ∂g²/∂slope, carried up through the same maps: what the slope's own maps are multiplied with
    products += forward([z, *inner])
    # One gradient a map, for r and the slope together: both are outer products with the same
    # vectors of the pass down, so that their left sides can be added first. For the same reason r
    # needs no pass back of its own.
    return products + gradient([first, *others])


def baseline_products(layer):
    """NVIL's network of the context: its value, and the gradient of a squared error."""
    first, *others = (f"c{layer}.{i}" for i in range(len(HIDDEN) + 1))
    return forward([first, *others]) + back(others[:-1]) + gradient([first, *others])


def products(model, estimator):
    """All products of a step: pairs (kind, map)."""
    name, added = ESTIMATORS[estimator]
    relaxed = name in ("concrete", "rebar") or (name == "relax" and added)
    passes = 2 if relaxed and name != "concrete" else int(relaxed or name == "muprop")
    needed = gradient_products(model) + cost_products(model, passes)
    for layer in range(len(ENCODERS[model])):
        needed += network_products(layer) if name == "relax" else []
        needed += baseline_products(layer) if name == "nvil" else []
    return needed


def multiplications(model, estimator, batch):
    """How many multiplications the products are."""
    sizes = widths(model)
    return sum(batch * sizes[name][0] * sizes[name][1] for _, name in products(model, estimator))


def widths(model):
    """Inputs and outputs of every map of a model and of the surrogates' networks, by name."""
    found = dict(WIDTHS[model])
    for layer in range(len(ENCODERS[model])):
        context = PIXELS + layer * LATENTS  # the image, and the stochastic layers below
        for kind, inputs in (("r", context + LATENTS), ("c", context)):
            ends = [inputs, *HIDDEN, 1]
            for i, pair in enumerate(itertools.pairwise(ends)):
                found[f"{kind}{layer}.{i}"] = pair
        found[f"r{layer}.z"] = (LATENTS, HIDDEN[0])
    return found


class Floor:
    """The products of one estimator's step; `floor(steps)` does them so many times.

    Each by the faster routine, as in the package.
    """

    def __init__(self, model, estimator, batch):
        needed, sizes = products(model, estimator), widths(model)
        weights = {name: torch.randn(sizes[name]) for _, name in needed}
        for name in weights:
            if name.endswith("z"):  # the last rows of the first layer's matrix, as in the network
                weights[name] = weights[name.replace("z", "0")][-LATENTS:]
        rows = functools.cache(lambda minibatches, n: torch.randn(minibatches * batch, n))
        self.calls = []
        for (kind, name), same in itertools.groupby(needed):
            weight, (inputs, outputs), count = weights[name], sizes[name], len(list(same))
            left, right = {
                "forward": (rows(count, inputs), weight),
                "back": (rows(count, outputs), weight.T),
                "gradient": (rows(1, inputs).T, rows(1, outputs)),
            }[kind]
            if is_large(left, right.shape[-1]):
                self.calls.append(functools.partial(one, left, right.T))
            else:
                out = torch.empty(len(left), right.shape[1])
                self.calls.append(functools.partial(torch.mm, left, right, out=out))

    def __call__(self, steps):
        for _ in range(steps):
            for call in self.calls:
                call()
