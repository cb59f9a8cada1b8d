"""Every target that a user can name, and what it needs; the workflow's lint."""

import re
import subprocess
import sys

import pandas as pd
import pytest
from workflow.project import ROOT, Project, write_config

TOY_RULES = ("train_toy", "train_toy", "train_categorical_toy")  # two targets, and the choice
TOY_ESTIMATORS = ("exact", "reinforce", "concrete", "rebar", "relax", "nvil", "muprop")
TOY = [f"{rule} {name}" for rule in TOY_RULES for name in TOY_ESTIMATORS]
TUNED = ["tune_relaxation rebar", "tune_relaxation relax"] * 2
VAE_ESTIMATORS = ("reinforce", "nvil", "muprop", "concrete", "rebar", "relax")
MODELS = 3  # linear1, linear2, nonlinear
ONE_RUN = ["prepare_data", *["train_vae rebar"] * MODELS]
VAE = ["prepare_data", *(f"train_vae {name}" for name in VAE_ESTIMATORS * MODELS)]
VARIANCE = ["measure_variance rebar"] * MODELS
MIDTRAINING = ["midtraining rebar"] * MODELS
PICTURES = ["pictures rebar"] * MODELS
THEORY = ["theory"]
RL = ["train_policy a2c", "train_policy relax"]
PATHS = ["reparameterize", "train_factors"]
STRUCTURE_ESTIMATORS = ("reinforce", "concrete", "rebar", "relax", "rloo", "arms", "reinmax")
STRUCTURE = ["structure_graphs", *(f"train_structure {name}" for name in STRUCTURE_ESTIMATORS)]
MEASURED = [*VARIANCE, *MIDTRAINING]
# Of the benchmark: four problems without images, and a VAE on data of its own.
MODEL = ["prepare_data", "train_vae rebar", "benchmark_vae"]
BENCHMARK = [*["benchmark_toys"] * 4, *MODEL]
ONCE = ("reinforce", "concrete", "rebar", "relax", "nvil", "muprop", "muprop_baseline")
ONCE += ("arm", "disarm", "arms")
ONCE += ("bitflip", "straight_through", "st_gumbel", "gumbel_rao", "reinmax")
COMPARED = [f"train_benchmark_vae {name}" for name in (*ONCE, *("rloo", "double_cv", "rodeo") * 2)]
# Of the toys, the claims read those with one latent.
JUDGED = [job for job in TOY if not job.startswith("train_categorical")]
JUDGED += [*VAE, *MEASURED, *THEORY, *RL, *BENCHMARK, *PATHS, *STRUCTURE]
FIGURES = {
    "figure_0": ("fig0_claims", [*JUDGED, "table_claims"]),
    "figure_1": ("fig1_toy_training", TOY),
    "figure_2": ("fig2_toy_variance_relaxation", TOY + TUNED),
    "figure_3": ("fig3_vae_training", VAE),
    "figure_4": ("fig4_vae_variance", VAE + VARIANCE),
    "figure_5": ("fig5_vae_midtraining", VAE + MIDTRAINING),
    "figure_6": ("fig6_optimal_relaxation", THEORY),
    "figure_7": ("fig7_optimum_vs_theta", THEORY),
    "figure_8": ("fig8_concrete_bias_variance", THEORY),
    "figure_9": ("fig9_estimator_terms", THEORY),
    "figure_10": ("fig10_eta", THEORY),
    "figure_11": ("fig11_rl", RL),
    "figure_12": ("fig12_vae_pictures", ONE_RUN + PICTURES),
    "figure_13": ("fig13_cartpole", RL),
    "figure_14": ("fig14_estimators", BENCHMARK),
    "figure_15": ("fig15_training_at_equal_cost", [*BENCHMARK, *COMPARED]),
    "figure_16": ("fig16_generalised_reparameterization", PATHS),
    "figure_17": ("fig17_structure", STRUCTURE),
    "figure_18": ("fig18_graph", STRUCTURE),
}
TABLE_NAMES = ("toy", "vae", "midtraining", "gradients", "rl", "estimators")
TABLE_NAMES += ("reparameterization", "structure", "claims")
TABLES = {f"table_{name}": name for name in TABLE_NAMES}
MADE = [*TOY, *TUNED, *VAE, *MEASURED, *PICTURES, *THEORY, *RL, *PATHS, *STRUCTURE]
MADE += [*BENCHMARK, *COMPARED]
EVERYTHING = sorted([*MADE, *FIGURES, *TABLES])


def test_the_papers_scale_trains_what_it_compares(tmp_path):
    """280 jobs, as config/paper.yaml says: no other VAE for 2,000,000 steps for the benchmark."""
    paper = ROOT / "config" / "paper.yaml"
    jobs = Project.fresh(tmp_path / "project").planned_jobs(config=paper)
    trained = [job.wildcards["dataset"] for job in jobs if job.rule == "train_vae"]
    assert len(trained) == 280
    assert set(trained) == {"mnist", "omniglot"}
    assert "280 training jobs" in paper.read_text(encoding="utf-8")


# All with config.yaml as it is: nothing of the default preset is built in the tiny run's folder.
def test_default_target_builds_everything(tiny):
    """`snakemake` alone: every figure and every table."""
    assert tiny.planned(config=None) == sorted([*EVERYTHING, "provenance", "all"])


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_by_name_builds_only_what_it_needs(tiny, name):
    """`snakemake figure_1`: its runs and itself."""
    assert tiny.planned(name, config=None) == sorted([*FIGURES[name][1], name])


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_figures_by_path(tiny, kind):
    """`snakemake figures/fig1_toy_training.pdf`, in every format."""
    paths = [f"figures/{stem}.{kind}" for stem, _ in FIGURES.values()]
    expected = [job for job in EVERYTHING if job not in TABLES or job == "table_claims"]
    assert tiny.planned(*paths, config=None) == expected


def test_tables_by_name_and_by_path(tiny):
    """All tables, as CSV and as Markdown, need runs and no figure."""
    made = [*TOY, *VAE, *MEASURED, *THEORY, *RL, *PATHS, *BENCHMARK, *STRUCTURE]
    expected = sorted([*made, *TABLES])
    assert tiny.planned(*TABLES, config=None) == expected
    paths = [f"results/tables/{name}.{kind}" for name in TABLES.values() for kind in ("csv", "md")]
    assert tiny.planned(*paths, config=None) == expected


def test_an_unknown_target_is_refused(tiny):
    """The control of the tests above: a name that nobody promised is an error."""
    run = tiny.snakemake("figures/fig1_toy_training.gif", "--dry-run", config=None)
    assert run.returncode != 0
    assert "fig1_toy_training.gif" in run.stdout


def test_lint_is_clean(tiny):
    """Snakemake's own linter has nothing to say."""
    run = tiny.snakemake("--lint", config=None)
    assert run.returncode == 0, run.stdout
    assert "your workflow is in a good condition" in run.stdout


RATES = {
    "preset": "rates",
    "vae.models": ["linear1"],
    "vae.estimators": ["rebar"],
    "vae.learning_rates": [0.003, 0.001, 0.0005],
    "vae.learning_rates_per_job": 2,
}


def test_learning_rates_share_jobs(tmp_path):
    """Two and one of three rates; each has its own files, and everything downstream finds them."""
    project = Project.fresh(tmp_path / "project")
    config = write_config(tmp_path, RATES)
    jobs = project.planned("figure_4", "table_vae", config=config)
    assert [job for job in jobs if job.startswith("train_vae")] == [
        "train_vae_rates_1 rebar",
        "train_vae_rates_3 rebar",
    ]
    run = project.snakemake("figure_4", "table_vae", "--cores", "2", config=config)
    assert run.returncode == 0, run.stdout
    for rate in RATES["vae.learning_rates"]:
        folder = project.path / f"results/rates/vae/digits/linear1/rebar/lr{rate}/seeds0-1"
        for name in ("training.csv", "best.csv", "variance.csv"):
            table = pd.read_csv(folder / name)
            assert set(table.learning_rate) == {rate}
            assert set(table.seed) == {0, 1}
    assert project.planned("figure_4", "table_vae", config=config) == []


def test_several_rates_of_policies_have_a_table_of_their_own(tmp_path):
    """Beside the one of the best pair, which is all that there is to tell of a single one."""
    project = Project.fresh(tmp_path / "project")
    single = project.snakemake("table_rl_rates", "--dry-run")
    assert single.returncode != 0
    assert "table_rl_rates" in single.stdout
    config = write_config(tmp_path, {"rl.environments.cartpole.learning_rates": [0.003, 0.01]})
    planned = project.planned("table_rl_rates", config=config)
    assert planned.count("train_policy a2c") == 2
    assert "table_rl_rates" in planned


def test_the_share_of_training_is_added_up(tmp_path):
    """benchmarks/pipeline.py: seconds of the work alone, out of those of the whole run."""
    project, script = Project.fresh(tmp_path / "project"), ROOT / "benchmarks" / "pipeline.py"
    config = write_config(tmp_path, {"toy.estimators": ["rebar"]})
    run = subprocess.run(
        [sys.executable, script, "table_toy", "--cores", "1", "--configfile", config],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"toy: (\d+) s\n  together: \1 s, (\d+\.\d)%", run.stdout)
    assert found, run.stdout
    assert 0 < float(found[2]) < 100
