"""What an estimator makes of costs, logits and noise that are not what they should be.

Each case was a wrong number, a NaN, or a message from inside torch in this or another library; what
is held here is the right number, or one sentence.
"""

import copy
from dataclasses import replace

import pytest
import torch
from unit.border import (
    BATCH,
    CATEGORICAL,
    KINDS,
    LATENTS,
    NAMES,
    SAMPLED,
    SEEDS,
    SPEC,
    cost,
    default_logits,
    estimate,
    in_phi,
)

import relax
from relax import Bernoulli, Categorical, Gaussian, Noise, NoiseStream, uniform_noise
from relax.errors import ArgumentError, ConfigError, NonFiniteError


def batch_mean(b):
    return cost(b).mean()


def mean_of_a_replica(b):
    return cost(b).mean(1)


def last_axis_of_one(b):
    return cost(b).unsqueeze(-1)


def integers(b):
    return (b.sum(-1) > 1).long()


def number(b):
    return float(cost(b).detach().sum())


def nothing(b):
    cost(b)


REFUSED = {
    batch_mean: r"'batch_mean' must .*\[2, 6\]; it returned shape \[\]: a mean",
    mean_of_a_replica: r"of shape \[2, 6\]; it returned shape \[2\]: a mean over the batch",
    last_axis_of_one: r"of shape \[2, 6\]; it returned shape \[2, 6, 1\]: drop the last axis",
    integers: r"'integers' must return floats, as torch.float64; it returned torch.int64",
    number: r"must return a tensor of shape \[2, 6\], .*; it returned a float",
    nothing: r"must return a tensor of shape \[2, 6\], .*; it returned None",
}


@pytest.mark.parametrize("wrong", REFUSED)
@pytest.mark.parametrize("name", ["exact", "reinforce", "relax", "rebar", "muprop", "nvil"])
def test_a_cost_of_another_shape_or_kind_is_refused_with_both(name, wrong):
    """A mean over the batch used to be broadcast: the gradient was 1/batch of the truth."""
    with pytest.raises(ArgumentError, match=REFUSED[wrong]):
        estimate(name, wrong)
    if name in ("relax", "rebar"):
        with pytest.raises(ArgumentError, match=REFUSED[wrong]):
            estimate(name, wrong, kind="independent")


@pytest.mark.parametrize("name", SAMPLED)
def test_every_estimator_holds_the_cost_to_its_shape(name):
    with pytest.raises(ArgumentError, match="must return a value for every sample"):
        estimate(name, batch_mean)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", SAMPLED)
def test_a_cost_that_is_not_finite_is_refused_with_its_place(name, value):
    def cost_at_one_place(b):
        f = cost(b)
        one = torch.zeros_like(f)
        one[1, 4] = value
        return f + one

    where = r"not finite: (nan|inf) at \[replica, batch\] = \[1, 4\], and so at 1 of \d+ samples"
    with pytest.raises(NonFiniteError, match=where):
        estimate(name, cost_at_one_place)


def test_a_cost_of_another_float_type_is_taken_in_that_of_the_logits():
    made, _, _ = estimate("relax", lambda b: cost(b.float()), kind="independent")
    expected, _, _ = estimate("relax", kind="independent")
    assert made.gradient.dtype == torch.float64
    torch.testing.assert_close(made.gradient, expected.gradient, rtol=1e-4, atol=1e-5)


def test_logits_that_are_no_parameters_are_refused():
    bad = default_logits()
    bad[1, 2, 0] = torch.nan
    categorical = replace(SPEC, relaxation=CATEGORICAL)
    with pytest.raises(ArgumentError, match="some are NaN"):
        estimate("reinforce", logits=bad)
    with pytest.raises(ArgumentError, match="categorical logits must be finite, or -inf"):
        estimate("reinforce", logits=bad, spec=categorical)
    masked = default_logits()
    masked[0, 3] = -torch.inf
    with pytest.raises(ArgumentError, match="all outcomes of a categorical variable are masked"):
        estimate("relax", logits=masked, spec=categorical)
    with pytest.raises(ArgumentError, match="all outcomes of a categorical variable are masked"):
        relax.enumerate_gradient(cost, masked, CATEGORICAL)
    gaussian = torch.full((2, BATCH, 2), torch.inf, dtype=torch.float64)
    with pytest.raises(ArgumentError, match=r"Gaussian\(\) must be finite"):
        estimate("reinforce", logits=gaussian, spec=replace(SPEC, latents=1, relaxation=Gaussian()))


@pytest.mark.parametrize("relaxation", [Bernoulli(), CATEGORICAL], ids=repr)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_of_exactly_0_or_1_gives_finite_numbers(name, kind, relaxation, dtype):
    """As `torch.rand` draws it; λ's gradient too."""
    if relaxation.kind not in relax.estimators.registry.REGISTRY[name].kinds:
        pytest.skip(f"{name} is not for {relaxation.kind} latents")
    spec = replace(SPEC, dtype=dtype, relaxation=relaxation)
    estimator = relax.load_estimator(name)
    rows = estimator.samples(spec) * BATCH
    u, v = uniform_noise(SEEDS, "noise", 0, (2, rows, LATENTS), dtype).unbind(1)
    u, v = (x.clone() for x in (u, v))
    u[:, 0], u[:, 1, 0], u[:, 2, 1] = 0, 1, 0
    v[:, 0], v[:, 1], v[:, 3, 2] = 1, 0, 1
    noise = Noise(u, v if kind == "independent" else None)
    parts = estimate(name, logits=default_logits().to(dtype), noise=noise, spec=spec)
    assert torch.isfinite(parts[0].gradient).all()
    assert all(torch.isfinite(g).all() for g in in_phi(*parts))


def test_noise_that_is_none_is_refused():
    u, v = uniform_noise(SEEDS, "noise", 0, (2, BATCH, LATENTS)).unbind(1)
    with pytest.raises(ArgumentError, match=r"noise.v must be uniform on \[0, 1\].* to 3"):
        estimate("relax", noise=Noise(u, 3 * v.clamp(min=1)))
    with pytest.raises(ArgumentError, match=r"noise.u must be uniform on \[0, 1\].*got .*nan"):
        estimate("relax", noise=Noise(u.log().sqrt()))
    with pytest.raises(ArgumentError, match=r"noise must be relax.Noise\(u, v\); got a Tensor"):
        estimate("relax", noise=u)
    with pytest.raises(ArgumentError, match=r"noise.u must be \[2, 6, 3\], .* got \[2, 1, 3\]"):
        estimate("relax", noise=Noise(u[:, :1]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: stream(kind="Independent"), "kind of noise must be one of independent, coupled"),
        (
            lambda: stream(purpose="nosie"),
            "purpose of a random stream must be one of init.*'nosie'",
        ),
        (lambda: stream(dtype=torch.bfloat16), "float32 or torch.float64; got torch.bfloat16"),
        (lambda: stream(batch=0), "batch must be a whole number, 1 or more; got 0"),
        (lambda: stream(latents=2.5), "latents must be a whole number, 1 or more; got 2.5"),
        (lambda: uniform_noise([0], "nosie", 0, (3,)), "purpose of a random stream"),
        (lambda: uniform_noise([-1], "noise", 0, (3,)), "a seed must be a whole number, 0 or more"),
        (
            lambda: uniform_noise([0], "noise", 0.5, (3,)),
            "index of a random stream must be a whole",
        ),
        (lambda: uniform_noise([0], "noise", 0, (3,), torch.float16), "type of noise must be"),
        (lambda: replace(SPEC, temperature=0.0), "temperature must be finite and greater than 0"),
        (lambda: replace(SPEC, temperature=-1), "temperature must be finite and greater than 0"),
        (lambda: replace(SPEC, scale=torch.nan), "scale must be a finite number"),
        (lambda: replace(SPEC, activation="swish"), "activation must be one of tanh, .*'swish'"),
        (lambda: replace(SPEC, hidden=(5, 0)), "a width in hidden must be a whole number, 1 or"),
        (lambda: replace(SPEC, hidden=100), r"hidden must be the widths .* as \(100,\); got 100"),
        (lambda: replace(SPEC, latents=0), "latents must be a whole number, 1 or more; got 0"),
        (lambda: replace(SPEC, context=-1), "context must be a whole number, 0 or more"),
        (lambda: replace(SPEC, dtype=torch.bfloat16), "dtype must be torch.float32 or"),
        (lambda: replace(SPEC, relaxation="bernoulli"), r"relaxation must be one .*'bernoulli'"),
        (lambda: Categorical(variables=0), "variables must be a whole number, 1 or more; got 0"),
        (lambda: Categorical(outcomes=1), "outcomes must be a whole number, 2 or more; got 1"),
        (lambda: moments(noise="Coupled"), "noise must be one of independent, coupled"),
        (lambda: relax.load_estimator("RELAX"), "unknown estimator 'RELAX'; there are: exact"),
        (lambda: relax.estimator_names(section="vaes"), "section must be one of toy, vae"),
        (lambda: relax.estimator_names(kind="binary"), "kind must be one of bernoulli, cat"),
    ],
)
def test_every_name_and_number_that_is_not_allowed_says_what_is(make, words):
    with pytest.raises((ArgumentError, ConfigError), match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def stream(purpose="noise", batch=3, latents=2, kind="coupled", dtype=torch.float64):
    return NoiseStream([0], purpose, batch, latents, kind, dtype)


def moments(noise):
    reinforce = relax.load_estimator("reinforce")
    logits = torch.zeros(1, 1, 1, dtype=torch.float64)
    return relax.exact_moments(reinforce, relax.ZeroSurrogate(), cost, logits, noise)


def leaves_torch(b):
    return torch.from_numpy(b.detach().numpy().sum(-1))


def numpy_at_once(b):
    return torch.from_numpy(b.numpy().sum(-1))


def rounds(b):
    weight = torch.ones((), dtype=b.dtype, requires_grad=True)
    return weight * (b > 0.5).to(b).sum(-1)


@pytest.mark.parametrize("black_box", [leaves_torch, numpy_at_once, rounds])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["rebar", "concrete", "muprop", "relax"])
def test_a_cost_without_a_slope_is_refused_with_what_would_do(name, kind, black_box):
    with pytest.raises(ArgumentError, match=r"cannot be differentiated in b.*reinforce, nvil, and"):
        estimate(name, black_box, kind=kind)
    alone = replace(SPEC, add_relaxed_cost=False)
    for other in ("reinforce", "nvil", "relax"):
        estimate(other, black_box, spec=alone, kind=kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_inference_mode_gives_the_same_numbers(name, kind):
    expected, _, _ = estimate(name, kind=kind)
    with torch.inference_mode():
        made, _, _ = estimate(name, kind=kind)
    assert torch.equal(made.gradient, expected.gradient)


def test_a_cost_made_of_inference_tensors_says_so():
    with torch.inference_mode():
        weight = torch.ones(LATENTS, dtype=torch.float64)
        with pytest.raises(ArgumentError, match=r"tensors from torch.inference_mode\(\)"):
            estimate("rebar", lambda b: (b * b * weight).sum(-1))


def test_types_that_do_not_fit_are_refused():
    u = uniform_noise(SEEDS, "noise", 0, (BATCH, LATENTS), torch.float32)
    single = default_logits().float()
    for name in ("rebar", "relax", "nvil", "muprop"):
        with pytest.raises(ArgumentError, match=r"are torch.float64 and the logits torch.float32"):
            estimate(name, logits=single, noise=Noise(u))
        made, _, _ = estimate(
            name, logits=single, noise=Noise(u), spec=replace(SPEC, dtype=torch.float32)
        )
        assert made.gradient.dtype == torch.float32
    for dtype in (torch.bfloat16, torch.float16):
        with pytest.raises(ArgumentError, match=r"type of logits must be torch.float32 or"):
            estimate("reinforce", logits=single.to(dtype), noise=Noise(u))
        with pytest.raises(ArgumentError, match=r"type of noise.u must be torch.float32 or"):
            estimate("reinforce", logits=single, noise=Noise(u.to(dtype)))
    # Noise of the other type is rounded, and stays inside (0, 1).
    fine = torch.full((2, BATCH, LATENTS), 1 - 2.0**-53, dtype=torch.float64)
    assert torch.isfinite(estimate("reinforce", logits=single, noise=Noise(fine))[0].gradient).all()


def test_a_surrogate_for_other_latents_or_replicas_is_refused():
    estimator = relax.load_estimator("concrete")
    surrogate = estimator.surrogate(SPEC, SEEDS)
    noise = Noise(uniform_noise(SEEDS, "noise", 0, (BATCH, LATENTS)))
    with pytest.raises(ArgumentError, match=r"made for Bernoulli\(\) and the .* Categorical\(\)"):
        estimator.estimate(surrogate, cost, default_logits(), noise, relaxation=CATEGORICAL)
    rebar = relax.load_estimator("rebar")
    one = Noise(noise.u[:1])
    with pytest.raises(ArgumentError, match=r"\[2, 6, 3\] for logits of shape \[1, 6, 3\]"):
        rebar.estimate(rebar.surrogate(SPEC, SEEDS), cost, default_logits()[:1], one)


@pytest.mark.parametrize("name", [n for n in NAMES if n in ("rebar", "relax", "nvil", "muprop")])
def test_parameters_that_are_replaced_are_those_that_learn(name):
    """`load_state_dict(assign=True)` used to leave a stale list of φ behind."""
    _, surrogate, estimator = estimate(name)
    before = surrogate.learned_parameters()
    other = {key: value.clone() for key, value in surrogate.state_dict().items()}
    surrogate.load_state_dict(other, assign=True)
    after = surrogate.learned_parameters()
    assert [id(p) for p in after] == [id(p) for p in surrogate.parameters() if p.requires_grad]
    assert not {id(p) for p in before} & {id(p) for p in after}
    noise = Noise(*uniform_noise(SEEDS, "noise", 0, (2, BATCH, LATENTS)).unbind(1))
    made = estimator.estimate(surrogate, cost, default_logits(), noise)
    relax.learn_surrogates(estimator, [surrogate], [made])
    assert all(p.grad is not None for p in after)
    twin = copy.deepcopy(surrogate)
    assert not {id(p) for p in twin.learned_parameters()} & {id(p) for p in after}
    next(surrogate.parameters()).requires_grad_(False)
    assert len(surrogate.learned_parameters()) == len(after) - 1


@pytest.mark.parametrize("transform", ["vmap", "grad"])
def test_functional_transforms_are_refused_in_one_sentence(transform):
    logits = default_logits()
    run = {
        "vmap": lambda f: torch.func.vmap(f)(torch.stack([logits, logits])),
        "grad": lambda f: torch.func.grad(f)(logits),
    }
    with pytest.raises(ArgumentError, match="cannot be made under torch"):
        run[transform](lambda x: estimate("relax", logits=x)[0].gradient.sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_cost_may_be_made_with_vmap(name, kind):
    """As a black box of one b is made into one of [replica, batch, latent]."""
    one = torch.func.vmap(torch.func.vmap(lambda b: cost(b.view(1, 1, -1)).squeeze()))
    made, expected = (estimate(name, f, kind=kind)[0] for f in (one, cost))
    torch.testing.assert_close(made.gradient, expected.gradient)


def test_second_derivatives_are_refused_in_one_sentence():
    made, surrogate, _ = estimate("relax", spec=replace(SPEC, squash=False))
    objective = relax.variance_objective(made.gradient).sum()
    with pytest.raises(ArgumentError, match=r"second derivatives .* not supported"):
        torch.autograd.grad(objective, surrogate.learned_parameters(), create_graph=True)
