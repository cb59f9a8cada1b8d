"""What `relax.Expectation` refuses, in one sentence that says what is allowed."""

import re

import numpy as np
import pytest
import torch
from torch import distributions
from unit.plain import LOGITS, cost, expectation

import relax
from relax.estimators.registry import REGISTRY


def refused(call, *words, kind=relax.RelaxError):
    """The message of a call that raises, which is one sentence and contains the words."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


ROWS = LOGITS.expand(50, 3)


@pytest.mark.parametrize("name", ["reinforce", "relax", "rebar", "concrete", "muprop", "nvil"])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda b: cost(b).mean(), ["[50]", "[]", "mean or sum"]),
        (lambda b: cost(b).unsqueeze(-1), ["[50]", "[50, 1]", "squeeze"]),
        (lambda b: cost(b)[:1], ["[50]", "[1]"]),
        (lambda b: cost(b).unsqueeze(0), ["[50]", "[1, 50]"]),
        (lambda b: cost(b).sum().item(), ["tensor", "Python number"]),
        (lambda b: 3, ["tensor", "Python number 3"]),
        (lambda b: None, ["tensor", "None"]),
        (lambda b: (cost(b), b), ["tensor", "tuple"]),
        (lambda b: b.sum(-1).long(), ["floating-point", "int64"]),
        (lambda b: b.sum(-1) > 1, ["floating-point", "bool"]),
        (lambda b: (0 * cost(b)).log(), ["finite", "50 of 50"]),
        (lambda b: cost(b) + torch.nan, ["finite", "50 of 50"]),
    ],
    ids=[
        *("mean", "last axis", "one row", "axis in front", "number", "integer", "none", "tuple"),
        *("whole", "boolean", "infinite", "nan"),
    ],
)
def test_a_cost_that_is_no_value_for_each_b(name, wrong, words):
    """Fault 1: a batch mean made the gradient 1/50 of the truth, without a word."""
    E = expectation(name)
    refused(lambda: E(wrong, ROWS.clone().requires_grad_()), *words)
    refused(lambda: E.estimate(wrong, ROWS), *words)
    with torch.no_grad():
        refused(lambda: E(wrong, ROWS), *words)


def test_a_cost_that_is_not_finite_between_zero_and_one_says_so():
    E = expectation("rebar")
    bad = lambda b: torch.where((b == 0) | (b == 1), b, torch.nan).sum(-1)  # noqa: E731
    refused(lambda: E(bad, ROWS.clone().requires_grad_()), "finite", "relaxed values")


BLACK_BOXES = {
    "threshold": lambda b: (b > 0.5).double().sum(-1),
    "numpy": lambda b: torch.as_tensor(np.asarray(b).sum(-1)),
    "detached": lambda b: cost(b.detach()),
    "lookup": lambda b: torch.stack([torch.tensor(float(len(set(r)))) for r in b.tolist()]),
}


@pytest.mark.parametrize("box", BLACK_BOXES)
@pytest.mark.parametrize("name", ["concrete", "rebar", "muprop"])
def test_an_estimator_that_needs_a_slope_names_two_that_do_not(name, box):
    """Fault 5: torch's "element 0 of tensors does not require grad" said nothing of what to do."""
    black_box = BLACK_BOXES[box]
    message = refused(
        lambda: expectation(name)(black_box, ROWS.clone().requires_grad_()),
        f"'{name}'",
        "differentiable",
    )
    others = re.findall(r"'(\w+)'", message)[1:]
    assert len(others) == 2
    for other in others:
        alpha = ROWS.clone().requires_grad_()
        expectation(other)(black_box, alpha).sum().backward()
        assert alpha.grad.any()


def test_an_error_inside_the_cost_is_the_costs_own():
    def broken(b):
        raise RuntimeError("element 7 of the users's own trouble")

    with pytest.raises(RuntimeError, match="own trouble"):
        expectation("rebar")(broken, LOGITS)


@pytest.mark.parametrize(
    ("name", "latents", "kind", "needs"),
    [
        ("exact", 17, "bernoulli", "16"),
        ("exact", 3, "gaussian", "bernoulli and categorical"),
        ("rebar", 3, "gaussian", "bernoulli and categorical"),
        ("concrete", 3, "gaussian", "bernoulli and categorical"),
        ("lax", 3, "bernoulli", "gaussian"),
    ],
)
def test_latents_of_the_wrong_kind_or_number(name, latents, kind, needs):
    message = refused(lambda: relax.Expectation(name, latents=latents, kind=kind), name, needs)
    others = re.findall(r"'(\w+)'", message)[1:]
    assert len(others) == 2
    for other in others:
        relax.Expectation(other, latents=latents, kind=kind)


def test_names_and_numbers_that_are_not_allowed():
    refused(lambda: relax.Expectation("relaxx"), "relaxx", *REGISTRY)
    refused(lambda: relax.Expectation(kind="poisson"), "bernoulli, categorical, gaussian")
    refused(lambda: relax.Expectation(noise="Independent"), "coupled", "independent")
    refused(lambda: relax.Expectation(latents=0), "0")
    refused(lambda: relax.Expectation(latents=2.0), "2.0")
    refused(lambda: relax.Expectation(latents=(3, 4), kind="gaussian"), "gaussian", "(3, 4)")
    refused(lambda: relax.Expectation(latents=(2, 3, 4)), "variables, outcomes")
    refused(lambda: relax.Expectation(latents=1, kind="categorical"), "two outcomes")
    refused(lambda: relax.Expectation(hidden=100), "widths", "(100,)", "100")
    refused(lambda: relax.Expectation(generator=42), "torch.Generator", "42")
    refused(lambda: relax.Expectation("rloo", samples="4"), "samples", "'4'")
    assert relax.Expectation(latents=np.int64(3)).latents.shape == (3,)


def test_logits_that_are_not_what_was_promised():
    E = expectation("relax")
    refused(lambda: E(cost, torch.zeros(5, 4)), "[..., 3]", "[5, 4]")
    refused(lambda: E(cost, torch.zeros(3, dtype=torch.long)), "int64")
    refused(lambda: E(cost, torch.zeros(0, 3)), "[0, 3]")
    refused(lambda: E(cost, [0.0, 0.0, 0.0]), "list", "Bernoulli")
    refused(lambda: E(cost, torch.tensor([0.0, torch.nan, 0.0])), "1 of 3", "NaN")
    refused(lambda: E(cost, distributions.Poisson(torch.ones(3))), "Poisson", "Bernoulli")
    refused(lambda: E(cost, distributions.Categorical(logits=torch.ones(3))), "kind='categorical'")
    gaussian = relax.Expectation("lax", latents=3, kind="gaussian")
    refused(lambda: gaussian(cost, torch.zeros(3)), "[..., 6]", "means")


def test_context_that_does_not_fit():
    plain, seeing = expectation("relax"), expectation("relax", context=2)
    refused(lambda: plain(cost, LOGITS, context=torch.ones(2)), "context=0", "2")
    refused(lambda: seeing(cost, LOGITS.clone().requires_grad_()), "context=2", "none")
    rows = torch.ones(4, 2, dtype=torch.float64)
    refused(lambda: seeing(cost, ROWS.clone().requires_grad_(), context=rows), "[50]", "[4, 2]")
    for other in (np.ones((50, 2)), [1.0, 2.0], torch.tensor(1.0)):
        refused(lambda c=other: seeing(cost, ROWS, context=c), "context must be a tensor")


def test_a_context_that_is_not_finite_is_named_before_it_has_spoilt_anything():
    """The logits and φ were NaN after one step, and the next sentence blamed the step."""
    E = expectation("relax", context=2)
    context = torch.ones(50, 2, dtype=torch.float64)
    context[7, 1] = torch.nan
    refused(lambda: E(cost, ROWS.clone().requires_grad_(), context), "context", "1 of 100")
    assert all(p.grad is None for p in E.parameters())


def test_evaluation_takes_the_context_that_training_takes():
    """VIMCO's bound could not be had without a gradient where it was made with a context."""
    context = torch.ones(50, 2, dtype=torch.float64)
    for name in ("vimco", "disarm_iw", "relax"):
        E = expectation(name, context=2)
        with torch.no_grad():
            assert E(cost, ROWS, context).shape == (50,)


def test_evaluation_refuses_the_logits_that_training_refuses():
    E = relax.Expectation("relax", (2, 4))
    masked = torch.full((5, 2, 4), -torch.inf)
    f = lambda b: b[..., 0].sum(-1)  # noqa: E731
    refused(lambda: E(f, masked.clone().requires_grad_()), "masked")
    with torch.no_grad():
        refused(lambda: E(f, masked), "masked")
        gaussian = relax.Expectation("lax", 1, kind="gaussian")
        refused(lambda: gaussian(f, torch.tensor([torch.inf, 0.0])), "finite")


def test_a_value_in_the_place_of_the_cost():
    refused(lambda: expectation("relax")(cost(LOGITS), LOGITS), "function of b", "Tensor")


def in_place(b):
    b *= 2
    b -= 1
    return cost(b)


def in_numpy(b):
    signs = b.numpy()
    signs *= 2
    signs -= 1
    return torch.from_numpy(cost(torch.from_numpy(signs)).numpy())


@pytest.mark.parametrize("name", ["disarm", "arms", "local_expectation", "bitflip", "exact"])
@pytest.mark.parametrize("wrong", [in_place, in_numpy])
def test_a_cost_that_changes_its_b_changes_its_own(name, wrong):
    """DisARM's gradient was twice the truth, and the sample that came back was of -1 and 1."""
    found = []
    for f in (lambda b: cost(2 * b - 1), wrong):
        E = expectation(name, generator=torch.Generator().manual_seed(1))
        found.append(E.estimate(f, ROWS))
    for right, one in zip(*found, strict=True):
        torch.testing.assert_close(one, right)


@pytest.mark.parametrize("name", ["rebar", "relax"])
def test_one_expectation_inside_its_own_cost(name):
    """It ended in a "second time" of torch's; each in its own is the way, and another's is fine."""
    settings = {"add_relaxed_cost": True}
    outer, inner = expectation(name, **settings), expectation(name, **settings)
    weight = torch.randn(3, 3, dtype=torch.float64)

    def nested(within):
        return lambda b1: within(lambda b2: cost(b1 * b2), b1 @ weight)

    alpha = ROWS.clone().requires_grad_()
    refused(lambda: outer(nested(outer), alpha), "inside its own cost", "deepcopy")
    outer(nested(inner), alpha).mean().backward()
    assert all(p.grad is not None for E in (outer, inner) for p in E.parameters())
    with torch.no_grad():
        assert outer(nested(outer), ROWS).shape == (50,)


def test_a_cost_without_a_second_derivative_says_so():
    """As that of an attention kernel: torch's words named only its own operator."""

    def distances(b):
        x = b.unsqueeze(-1) * torch.arange(4.0)
        return torch.cdist(x, x + 1).sum((-2, -1))

    E = relax.Expectation("rebar", 3)
    logits = torch.zeros(5, 3, requires_grad=True)
    refused(lambda: E(distances, logits), "'rebar' needs second derivatives", "would do")
    relax.Expectation("relax", 3)(distances, logits).sum().backward()


def test_second_derivatives_are_refused_in_words():
    """Fault 10; the first ones may be taken with a graph, which others need for their own."""
    E = expectation("relax")
    alpha = LOGITS.clone().requires_grad_()
    (first,) = torch.autograd.grad(E(cost, alpha), alpha, create_graph=True)
    torch.manual_seed(0)
    assert first.shape == (3,)
    refused(lambda: first.sum().backward(), "second derivatives")
    (first,) = torch.autograd.grad(E(cost, alpha), alpha, create_graph=True)
    refused(lambda: torch.autograd.grad(first.sum(), alpha), "second derivatives")
    # a penalty on the decoder's gradient does not pass through the estimate
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    value = E(lambda b: (b * weight).sum(-1).exp(), ROWS)
    (slope,) = torch.autograd.grad(value.mean(), weight, create_graph=True)
    slope.square().sum().backward()
    assert weight.grad.any()


def test_transforms_are_refused_in_words():
    """Fault 10: torch.func's transforms ended in torch's internals."""
    E = expectation("relax")
    for transform in (torch.func.vmap, torch.func.grad, torch.func.jacrev):
        refused(lambda t=transform: t(lambda a: E(cost, a))(ROWS[:1]), "torch.func", "leading axes")
    made_inside = torch.func.vmap(lambda a: expectation("relax")(cost, a))
    refused(lambda: made_inside(ROWS[:1]), "torch.func", "leading axes")


def test_a_whole_graph_is_refused_in_words():
    E = expectation("relax")
    compiled = torch.compile(lambda a: E(cost, a), backend="eager", fullgraph=True)
    with pytest.raises(Exception, match="compile the encoder and the decoder"):
        compiled(LOGITS.clone().requires_grad_())
