"""What an estimator makes of costs, logits and noise that are not what they should be.

Each case was a wrong number, a NaN, or a message from inside torch in this or another library; what
is held here is the right number, or one sentence.
"""

import copy
from dataclasses import replace

import pytest
import torch

import relax
from relax import Bernoulli, Categorical, Gaussian, Noise, NoiseStream, SurrogateSpec, uniform_noise
from relax.errors import ArgumentError, ConfigError, NonFiniteError

SEEDS, BATCH, LATENTS = [0, 1], 6, 3
SPEC = SurrogateSpec(latents=LATENTS, hidden=(5,), add_relaxed_cost=True, temperature=0.7)
CATEGORICAL = Categorical()
NAMES = relax.estimator_names(kind="bernoulli")
SAMPLED = [name for name in NAMES if name != "exact"]
KINDS = ("independent", "coupled")


def cost(b):
    """[replica, batch, latent] -> [replica, batch], smooth."""
    w = torch.linspace(-1.5, 1, b.shape[-1], dtype=b.dtype)
    return torch.sin(2 * (b * w).sum(-1)) + (b * b * w.flip(-1)).sum(-1) + 0.5


def estimate(name, cost=cost, logits=None, noise=None, spec=SPEC, kind="coupled"):
    """An estimate, and its surrogate; by default of fixed logits and noise."""
    estimator = relax.load_estimator(name)
    surrogate = estimator.surrogate(spec, relax.parameter_generators(SEEDS))
    logits = default_logits(spec) if logits is None else logits
    if noise is None:
        rows = estimator.samples(spec) * logits.shape[1]
        u, v = uniform_noise(SEEDS, "noise", 0, (2, rows, spec.latents)).unbind(1)
        noise = Noise(u, v if kind == "independent" else None)
    made = estimator.estimate(surrogate, cost, logits, noise, relaxation=spec.relaxation)
    return made, surrogate, estimator


def default_logits(spec=SPEC):
    return 3 * (uniform_noise(SEEDS, "noise", 1, (BATCH, spec.latents)) - 0.5)


def in_phi(made, surrogate, estimator):
    """The gradient of the estimator's objective in φ."""
    parameters = surrogate.learned_parameters()
    return torch.autograd.grad(estimator.objective(made).sum(), parameters) if parameters else ()


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


# Logits with certainties, and for each the same problem without them: the columns that are left.
CERTAIN = {
    "masked": (replace(SPEC, latents=5, relaxation=CATEGORICAL), (1, 3), -torch.inf),
    "masked in one of two": (
        replace(SPEC, latents=6, relaxation=Categorical(variables=2)),
        (1, 5),
        -torch.inf,
    ),
    "probability 0": (replace(SPEC, latents=4), (0,), -torch.inf),
    "probability 1": (replace(SPEC, latents=4), (2,), torch.inf),
}


def certain_problem(case):
    spec, places, value = CERTAIN[case]
    logits = default_logits(spec).clone()
    logits[..., places] = value
    return spec, logits, list(places)


@pytest.mark.parametrize("squash", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CERTAIN)
@pytest.mark.parametrize("name", NAMES)
def test_certainties_stay_finite_and_get_no_gradient(name, case, kind, squash):
    spec, logits, places = certain_problem(case)
    if spec.relaxation.kind not in relax.estimators.registry.REGISTRY[name].kinds:
        pytest.skip(f"{name} is not for {spec.relaxation.kind} latents")
    spec = replace(spec, squash=squash)
    parts = estimate(name, logits=logits, spec=spec, kind=kind)
    made = parts[0]
    assert torch.isfinite(made.gradient).all()
    assert (made.gradient[..., places] == 0).all()
    assert (made.gradient.abs().sum((1, 2)) > 1e-6).all()
    assert (made.sample[..., places] == (1 if case == "probability 1" else 0)).all()
    for gradient in in_phi(*parts):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("case", CERTAIN)
def test_the_rest_is_as_if_certainties_were_not_there(case):
    """Entropy, log p, and the exact gradient, where f is never asked at a masked outcome."""
    spec, logits, places = certain_problem(case)
    relaxation = spec.relaxation
    b, _, _ = estimate("reinforce", logits=logits, spec=spec)
    entropy = relaxation.entropy(logits)
    near = logits.clamp(-60, 60)
    torch.testing.assert_close(entropy, relaxation.entropy(near))
    torch.testing.assert_close(
        relaxation.log_prob(logits, b.sample), relaxation.log_prob(near, b.sample)
    )
    forbidden = 0.0 if case == "probability 1" else 1.0

    def nan_where_never_drawn(b):
        return torch.where((b[..., places] == forbidden).any(-1), torch.nan, cost(b))

    found = relax.enumerate_gradient(nan_where_never_drawn, logits, relaxation)
    torch.testing.assert_close(found, relax.enumerate_gradient(cost, near, relaxation))
    assert (found[..., places] == 0).all()


def test_entropy_of_a_masked_pair_is_log_2():
    logits = torch.tensor([[[0.3, 0.3, -torch.inf]]], dtype=torch.float64)
    assert CATEGORICAL.entropy(logits).item() == pytest.approx(torch.tensor(2.0).log().item())
    certain = torch.tensor([[[torch.inf, -torch.inf]]], dtype=torch.float64)
    assert Bernoulli().entropy(certain).item() == 0


def test_a_masked_estimate_is_unbiased():
    """Against enumeration over the outcomes that are left; the seed is fixed, 4.5 errors."""
    spec, logits, places = certain_problem("masked")
    logits = logits[:, :1]
    rows = 40_000
    u, v = uniform_noise(SEEDS, "noise", 3, (2, rows, spec.latents)).unbind(1)
    exact = relax.enumerate_gradient(cost, logits, CATEGORICAL).squeeze(1)
    left = [i for i in range(spec.latents) if i not in places]
    for noise in (Noise(u, v), Noise(u)):
        made, _, _ = estimate("relax", logits=logits.expand(-1, rows, -1), noise=noise, spec=spec)
        moments = relax.sample_moments(made.gradient.detach())
        errors = (moments.variance / rows).sqrt()[:, left]
        z = (moments.mean - exact)[:, left] / errors
        assert (z.abs() < 4.5).all()
        assert (((moments.mean * 0.9) - exact)[:, left] / errors).abs().max() > 4.5  # its power


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


def test_the_tail_of_very_many_outcomes_is_drawn():
    """One outcome against 262,144 that share 3e-4: float32 noise ends before they come.

    Of the many only the one with the largest Gumbel counts: its u is that of the maximum of as many
    uniforms, q^(1/262144), for q spread evenly over (0, 1). The logits are float32.
    """
    many, share, rows = 2**18, 3e-4, 400_000
    theta = torch.tensor([1 - share, share / many], dtype=torch.float64)
    logits = theta.log().float().expand(1, rows, 2)
    q = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    first = uniform_noise([3], "noise", 0, (rows,))
    u = torch.stack([first[0], q ** (1 / many)], -1).unsqueeze(0)

    def drawn(u):
        noise = Noise(u)
        spec = replace(SPEC, latents=2, dtype=torch.float32, relaxation=CATEGORICAL)
        reinforce = relax.load_estimator("reinforce")
        made = reinforce.estimate(
            reinforce.surrogate(spec, []), cost, logits, noise, relaxation=CATEGORICAL
        )
        assert made.gradient.dtype == torch.float32
        return made.sample[..., 1].sum().item()

    expected = share * rows
    assert abs(drawn(u) - expected) < 4 * expected**0.5
    assert drawn(u.float()) == 0  # negative control: what uniforms of 24 bits give
    assert (
        NoiseStream([0], "noise", 1, 2, "coupled", CATEGORICAL.noise_type(torch.float32))(0).u.dtype
        == torch.float64
    )


def test_as_many_outcomes_at_once_give_finite_numbers():
    wide = 2**18 + 1
    spec = replace(SPEC, latents=wide, hidden=(2,), dtype=torch.float32, relaxation=CATEGORICAL)
    u = uniform_noise(SEEDS, "noise", 0, (1, wide))
    parts = estimate("relax", logits=torch.zeros(2, 1, wide), noise=Noise(u), spec=spec)
    assert torch.isfinite(parts[0].gradient).all()
    assert (parts[0].sample.sum(-1) == 1).all()
