"""`relax.compare`: what its table says of costs with a known answer; and `python -m relax`."""

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from unit.plain import LOGITS, cost

import relax
from relax.estimators.registry import REGISTRY, calls
from relax.frontdoor.command import main
from relax.frontdoor.loading import load_cost
from relax.frontdoor.moments import Moments, Reference, largest_z

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = [
    *("unbiased", "bias", "z", "variance", "mean squared error", "evaluations", "gradients"),
    *("seconds", "variance x evaluations", "variance x seconds"),
]


def line(b):
    """f(b) = 2 b0 - b1 + 1/2, whose moments under every estimator here are known: [...]."""
    return 2 * b[..., 0] - b[..., 1] + 0.5


def reinforce_variance(theta):
    """Σ_i Var[f(b) (b_i - θ_i)] by enumeration."""
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 2)
    p = torch.where(states > 0.5, theta, 1 - theta).prod(-1, keepdim=True)
    g = line(states).unsqueeze(-1) * (states - theta)
    return ((p * g.square()).sum(0) - (p * g).sum(0).square()).sum().item()


@pytest.fixture(scope="module")
def table():
    """Two bits and a linear cost: by every estimator."""
    logits = torch.tensor([0.3, -0.5], dtype=torch.float64)
    return relax.compare(
        line, logits, steps=300, estimates=20_000, any_leading=True, dtype=torch.float64
    )


def test_a_row_for_every_estimator_that_can_run(table):
    assert list(table.columns) == COLUMNS
    assert set(table.index) | set(table.attrs["left out"]) == set(REGISTRY)
    assert {"exact", "reinforce", "rebar", "relax", "concrete"} <= set(table.index)
    assert "gaussian" in table.attrs["left out"]["lax"]
    assert table.attrs["reference"] == "enumeration of the 4 values of b"


def test_variance_and_bias_are_the_known_ones(table):
    theta = torch.sigmoid(torch.tensor([0.3, -0.5], dtype=torch.float64))
    # the standard error of a variance of 20,000 draws is about 1 %
    assert table.variance["reinforce"] == pytest.approx(reinforce_variance(theta), rel=0.05)
    assert table.variance["exact"] == 0
    # MuProp's expansion of a linear cost is the cost, and its scale stays at 1
    assert table.variance["muprop"] == pytest.approx(0, abs=1e-3)
    unbiased = table[table.unbiased]
    assert (unbiased.z < 4).all(), unbiased.z
    assert (unbiased["mean squared error"] == unbiased.variance).all()
    assert (table.unbiased == [REGISTRY[name].unbiased for name in table.index]).all()
    products = table.variance * table.evaluations
    assert table["variance x evaluations"].to_list() == products.to_list()
    assert (table["variance x seconds"] == table.variance * table.seconds).all()
    assert (table.seconds > 0).all()


def test_the_bias_of_a_biased_one_is_found():
    """On a cubic, at a high temperature; the exact bias by many more draws."""
    chosen = {"estimators": ["concrete", "reinforce"], "any_leading": True, "temperature": 3.0}
    small, large = (
        relax.compare(cost, LOGITS, steps=0, estimates=n, seed=s, dtype=torch.float64, **chosen)
        for s, n in enumerate((4000, 60_000))
    )
    assert small.z["concrete"] > 5 > 3.5 > small.z["reinforce"]
    assert small.bias["concrete"] == pytest.approx(large.bias["concrete"], rel=0.1)
    excess = small["mean squared error"]["concrete"] - small.variance["concrete"]
    assert excess == pytest.approx(large.bias["concrete"] ** 2, rel=0.2)
    assert list(small.index) == ["reinforce", "concrete"]  # the biased ones come last


def test_the_counted_calls_are_the_registrys(table):
    """What is counted where f is called, against what the registry states."""
    for name in table.index:
        if name == "exact":
            continue  # evaluates f at a sample besides, to return it
        entry = REGISTRY[name]
        samples = 2 if "samples" in entry.reads else 1
        stated = calls(name, samples, latents=2, add_relaxed_cost=False)
        counted = table.evaluations[name], table.gradients[name]
        assert counted == tuple(stated), name


def test_it_prints_whole(table, monkeypatch):
    """In a narrow terminal too, and after a round through pickle; a part of it likewise."""
    monkeypatch.setenv("COLUMNS", "40")
    for shown in (table, pickle.loads(pickle.dumps(table)), table[table.unbiased]):
        first = str(shown).splitlines()[0].split("  ")
        assert {"unbiased", "variance x seconds"} <= {word.strip() for word in first}
        assert len(str(shown).splitlines()) == 2 + len(shown)


def test_best_first(table):
    unbiased = table[table.unbiased]["variance x seconds"]
    assert unbiased.is_monotonic_increasing
    assert list(table.unbiased) == sorted(table.unbiased, reverse=True)


def test_a_batch_with_a_context_and_no_enumeration():
    """Plain shapes, one call after the other: the reference is pooled, and φ sees the context."""
    x = torch.linspace(-1, 1, 4).reshape(2, 2)
    weight = torch.linspace(-1, 1, 14).reshape(14, 1).requires_grad_()
    state = torch.get_rng_state()
    found = relax.compare(
        lambda b: (torch.tanh(b @ weight).squeeze(-1) - x.sum(-1)).square(),
        torch.zeros(2, 14),
        x,
        estimators=["reinforce", "nvil", "rebar"],
        steps=20,
        estimates=300,
        progress=False,
    )
    assert "pooled" in found.attrs["reference"]
    assert (found.z < 4).all()
    assert (found.variance > 0).all()
    assert weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_seed_gives_the_same_table():
    runs = [
        relax.compare(line, torch.zeros(2), estimators=["relax"], steps=5, estimates=50, seed=s)
        for s in (1, 1, 2)
    ]
    kept = [run.drop(columns=["seconds", "variance x seconds"]) for run in runs]
    pd.testing.assert_frame_equal(kept[0], kept[1])
    assert kept[2].variance["relax"] != kept[0].variance["relax"]


@pytest.mark.parametrize(
    ("logits", "f"),
    [
        (torch.distributions.OneHotCategorical(logits=torch.zeros(4)), lambda b: b[..., 0] * 2),
        (torch.distributions.Normal(torch.zeros(2), 1.0), lambda b: b.square().sum(-1)),
    ],
)
def test_the_kind_follows_the_distribution(logits, f):
    found = relax.compare(f, logits, steps=5, estimates=200, any_leading=True)
    assert "reinforce" in found.index
    assert (found[found.unbiased].z.fillna(0) < 4).all()


def test_what_is_refused():
    with pytest.raises(relax.RelaxError, match="one value for each b"):
        relax.compare(lambda b: b, torch.zeros(2))
    with pytest.raises(relax.RelaxError, match="unknown estimator 'relaxx'"):
        relax.compare(line, torch.zeros(2), estimators=["relaxx"])
    with pytest.raises(relax.RelaxError, match=r"no estimator can run.*'rebar'.*would do"):
        relax.compare(lambda b: (b > 0.5).float().sum(-1), torch.zeros(2), estimators=["rebar"])


def test_a_batch_of_single_choices():
    """It was taken for one choice a row and reported as many times the variance of a datum."""
    weight, logits = (
        torch.arange(5.0),
        torch.randn(8, 5, generator=torch.Generator().manual_seed(0)),
    )
    chosen = {"kind": "categorical", "steps": 0, "estimates": 400, "estimators": ["rloo", "exact"]}
    one = relax.compare(lambda b: (b * weight).sum(-1), logits, latents=5, **chosen)
    same = relax.compare(lambda b: (b * weight).sum((-2, -1)), logits.unsqueeze(1), **chosen)
    assert one.attrs["reference"] == "enumeration of the 5 values of b"
    pd.testing.assert_series_equal(one.variance, same.variance, rtol=1e-4)
    pd.testing.assert_series_equal(one.bias, same.bias, rtol=1e-3, atol=1e-6)


def test_an_estimator_that_moves_one_latent_a_draw_is_not_called_biased():
    """Few draws that are not zero have no normal mean; 20 seeds, a z of 4 once in 800 tables."""
    logits = torch.randn(32, generator=torch.Generator().manual_seed(3))
    weight = torch.linspace(-3, 3, 32).exp()

    def skewed(b):
        return (b * weight).sum(-1).square()

    chosen = {"estimators": ["bitflip", "rloo"], "steps": 0, "any_leading": True}
    for seed in range(20):
        assert not relax.compare(skewed, logits, estimates=100, seed=seed, **chosen).z.max() > 4
    many = relax.compare(skewed, logits, estimates=10_000, **chosen)
    assert many.z["bitflip"] < 4  # and here it is tested


def test_one_that_moves_few_latents_a_draw_takes_no_z_from_the_others():
    """Pooled with them it left no coordinate known, and all of the column was empty."""
    logits, weight = torch.zeros(20), torch.linspace(1, 2, 20)
    names = ["bitflip", "rloo", "disarm", "reinforce"]
    table = relax.compare(
        lambda b: (b * weight).sum(-1), logits, estimators=names, steps=0, estimates=300
    )
    assert "pooled" in table.attrs["reference"]
    assert table.z.isna().to_dict() == {name: name == "bitflip" for name in table.index}
    assert table.z.max() < 4  # a false alarm once in 5,000 tables


def test_a_cost_that_fails_between_zero_and_one_leaves_out_who_asks_there():
    def f(b):
        """As `torch.distributions.Bernoulli.log_prob` refuses what is not in its support."""
        if ((b != 0) & (b != 1)).any():
            raise ValueError("not within the support")
        return -b[..., 0]

    table = relax.compare(f, torch.zeros(4, 3), steps=2, estimates=10)
    assert {"reinforce", "relax", "disarm"} <= set(table.index)
    assert "the cost failed" in table.attrs["left out"]["rebar"]
    assert "support" in table.attrs["left out"]["rebar"]


def test_numbers_that_are_not_allowed():
    for wrong, words in (
        ({"estimates": 1}, "estimates must be a whole number, 2 or more"),
        ({"steps": -1}, "steps must be a whole number, 0 or more"),
        ({"learning_rate": 0}, "learning_rate must be finite and greater than 0"),
        ({"hidden": (0,)}, "a width in hidden"),
    ):
        with pytest.raises(relax.RelaxError, match=words):
            relax.compare(cost, LOGITS, **{"steps": 1, "estimates": 2, **wrong})
    table = relax.compare(cost, LOGITS, estimators="rloo", steps=0, estimates=20)
    assert list(table.index) == ["rloo"]


def test_moments_are_those_of_all_draws():
    torch.manual_seed(0)
    draws = torch.randn(1000, 3, dtype=torch.float64) + 100
    moments = Moments()
    for block in draws.split([1, 9, 90, 900]):
        moments.add(block)
    torch.testing.assert_close(moments.mean, draws.mean(0))
    torch.testing.assert_close(moments.variance, draws.var(0))


def test_the_largest_of_many_z_scores_is_that_of_one():
    """Under the null it is half normal, however many there are: a KS test, one seed."""
    from scipy import stats

    torch.manual_seed(0)
    found = []
    for _ in range(400):
        moments = Moments()
        moments.draws, moments.squares = 2, torch.full((50,), 2.0, dtype=torch.float64)
        moments.moved = torch.full((50,), 2)
        moments.mean = torch.randn(50, dtype=torch.float64)  # of standard error 1
        zero, all_of_them = torch.zeros(50).double(), torch.ones(50, dtype=torch.bool)
        found.append(largest_z(moments, Reference(zero, zero, all_of_them), all_of_them))
    assert stats.kstest(found, stats.halfnorm.cdf).pvalue > 1e-3  # the false-alarm rate
    # and without the correction it would not be
    assert stats.kstest([abs(z) + 1.5 for z in found], stats.halfnorm.cdf).pvalue < 1e-3
    assert math.isnan(largest_z(moments, Reference(zero, zero, all_of_them), zero.bool()))


def test_the_command_prints_the_table(tmp_path, capsys):
    file, csv = tmp_path / "mine.py", tmp_path / "table.csv"
    file.write_text("def f(b):\n    return 2 * b[:, 0] - b[:, 1] * b[:, 2]\n")
    quick = ["--steps", "3", "--estimates", "50"]
    assert main([f"{file}:f", "--latents", "3", *quick, "--csv", str(csv)]) == 0
    shown = capsys.readouterr().out
    assert "reinforce" in shown
    assert "enumeration of the 8 values of b" in shown
    assert "'lax' is for gaussian latents" in shown
    assert "reinforce" in set(pd.read_csv(csv).estimator)
    file.write_text("def f(b):\n    return b[:, :, 0].sum(-1) + b[:, 0, 1]\n")
    chosen = ["--latents", "2x3", "--estimators", "reinforce,rebar"]
    assert main([f"{file}:f", *chosen, *quick]) == 0
    assert "enumeration of the 9 values" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_told_before_the_work(tmp_path, capsys):
    cost_file = tmp_path / "costs.py"
    cost_file.write_text("def cost(b):\n    raise SystemError\n")
    missing = tmp_path / "nowhere" / "table.csv"
    assert main([f"{cost_file}:cost", "--latents", "2", "--csv", str(missing)]) == 1
    assert f"--csv: there is no folder '{missing.parent}'" in capsys.readouterr().err


def test_an_edit_counts_in_the_same_second(tmp_path):
    """What Python keeps compiled would pass for it: a file of the same size and time. And the file
    knows where it stands."""
    file = tmp_path / "costs.py"
    for value in (1, 2):
        file.write_text(f"def f(b):\n    return {value} * b[:, 0] + (__file__ != '{file}')\n")
        os.utime(file, (1e9, 1e9))
        assert load_cost(str(file), "f")(torch.ones(1, 1)) == value
    assert [path.name for path in tmp_path.iterdir()] == ["costs.py"]


@pytest.mark.parametrize(
    ("text", "called", "words"),
    [
        ("", "{}:f", ["no function 'f'", "none at all"]),
        ("def g(b): pass", "{}:f", ["no function 'f'", "it has g"]),
        ("1 / 0", "{}:f", ["cannot be run", "ZeroDivisionError"]),
        ("def f(b): return 3", "{}:f", ["'f' of", "Python number 3"]),
        ("def f(b): return b", "{}:f", ["'f' of", "shape [1, 3]", "shape [1]"]),
        ("def f(b): return b.nothing", "{}:f", ["'f' of", "AttributeError"]),
        ("def f(b): return b.sum()", "{}:f", ["'f' of", "returned shape []"]),
        ("", "{}", ["costs.py:cost"]),
        ("", "absent.py:f", ["no file 'absent.py'"]),
    ],
)
def test_the_command_names_file_function_and_what_it_returned(
    tmp_path, capsys, text, called, words
):
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert main([called.format(file), "--latents", "3"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    for word in words:
        assert word in message


def test_the_example_runs_as_a_module():
    command = [sys.executable, "-m", "relax", "examples/black_box.py:cost", "--latents", "20"]
    command += ["--steps", "2", "--estimates", "20", "--estimators", "relax,reinforce"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": "src"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "pooled" in done.stdout
