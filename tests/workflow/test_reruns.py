"""An edit reruns what depends on it and nothing else; the same seed gives the same numbers."""

import re
from pathlib import Path

import pandas as pd
import pytest
from workflow.project import LOCALE_C, TOY, TUNED, VAE, Project, write_config

LEDGER = ["table_claims", "figure_0"]
CATEGORICAL_FIGURES = ["figure_1", "figure_2", "table_toy", "all"]
TOY_FIGURES = [*LEDGER, *CATEGORICAL_FIGURES]
VAE_TABLES = ["table_vae", "table_midtraining", "table_gradients", *LEDGER]
VAE_FIGURES = ["figure_3", "figure_4", "figure_5", *VAE_TABLES, "all"]
VARIANCE = ["measure_variance rebar", *LEDGER]
HALFWAY = ["figure_5", "table_midtraining", "table_gradients"]
MIDTRAINING = ["midtraining rebar", *HALFWAY, *LEDGER]
PICTURES = ["pictures rebar", "figure_12"]
MEASURED = [*VARIANCE, *MIDTRAINING]
RL = ["train_policy a2c", "train_policy relax"]
RL_FIGURES_THAT_JUDGE = ["figure_11", "table_rl", *LEDGER, "all"]
RL_FIGURES = ["figure_11", "figure_13", "table_rl", *LEDGER, "all"]
BENCHMARK_FIGURES = ["figure_14", "figure_15", "table_estimators", *LEDGER, "all"]
TOYS = [*["benchmark_toys"] * 3, *BENCHMARK_FIGURES]
# Of the VAE: what is measured at its checkpoints, and what is trained.
BENCHMARK = ["benchmark_vae", *BENCHMARK_FIGURES]
COMPARED = ["train_benchmark_vae disarm", "train_benchmark_vae reinforce"]
THEORY = ["theory", *LEDGER, *(f"figure_{number}" for number in (6, 7, 8, 9, 10))]
PATHS = ["figure_16", "table_reparameterization", *LEDGER, "all"]


def train_toy(*estimators):
    """Their runs on both toys."""
    return [f"train_toy {name}" for name in estimators] + train_categorical(*estimators)


def train_categorical(*estimators):
    return [f"train_categorical_toy {name}" for name in estimators]


def tune(*estimators):
    return [f"tune_relaxation {name}" for name in estimators]


def train_vae(*estimators):
    return [f"train_vae {name}" for name in estimators]


UNUSED = {
    "format": "npz",
    "files": {"a.npz": {"path": "a.npz", "sha256": "0" * 64}},
    "shape": [8, 8],
}
STRUCTURE = [f"train_structure {name}" for name in ("relax", "rloo")]
STRUCTURE_FIGURES = ["figure_17", "figure_18", "table_structure", *LEDGER, "all"]
EDITED_KEYS = {
    "structure.acyclicity": (0.5, [*STRUCTURE, *STRUCTURE_FIGURES]),
    "structure.surrogate.hidden": ([4], ["train_structure relax", *STRUCTURE_FIGURES]),
    "structure.transform": ("none", ["structure_graphs", *STRUCTURE, *STRUCTURE_FIGURES]),
    "structure.random.estimators": (
        ["rloo", "relax"],
        ["train_structure relax", *STRUCTURE_FIGURES],
    ),
    "toy.surrogate.hidden": ([3], train_toy("relax") + tune("relax") + TOY_FIGURES + THEORY + TOYS),
    "toy.surrogate.temperature": (
        0.6,
        train_toy("concrete", "rebar", "relax")
        + tune("rebar", "relax")
        + TOY_FIGURES
        + THEORY
        + TOYS,
    ),
    "toy.categorical.costs": ([0.1, 0.2], train_categorical(*TOY) + CATEGORICAL_FIGURES + TOYS),
    "toy.categorical.steps": (31, train_categorical(*TOY) + CATEGORICAL_FIGURES),
    "theory.steps": (7, [*THEORY, "all"]),
    "toy.variance_samples": (11, train_toy(*TOY) + TOY_FIGURES),
    "toy.relaxation.theta": (0.4, [*tune(*TUNED), "figure_2", "all"]),
    "vae.variance.draws": (4, [*VARIANCE, "figure_4", "all"]),
    "vae.midtraining.draws": (4, [*MIDTRAINING, "all"]),
    "vae.surrogate.hidden": ([4], [*train_vae("relax"), *MEASURED, *VAE_FIGURES, *BENCHMARK]),
    "vae.surrogate_weight_decay": (
        0.1,
        [*train_vae("rebar", "relax"), *MEASURED, *PICTURES, *VAE_FIGURES, *BENCHMARK],
    ),
    "vae.pretraining_steps": (
        2,
        [*train_vae("rebar", "relax"), *MEASURED, *PICTURES, *VAE_FIGURES, *BENCHMARK],
    ),
    "reparameterization.steps": (7, ["reparameterize", *PATHS]),
    "reparameterization.model.draws": (5, ["train_factors", *PATHS]),
    "data.mirror": ("elsewhere", []),
    "vae.save_every": (1, []),
    "vae.outcomes": (3, []),  # the latents are bits
    "vae.compile": ("never", []),
    "data.sets": ({"mine": UNUSED}, []),
    "rl.environments.cartpole.solved": (190, RL_FIGURES_THAT_JUDGE),
    "rl.environments.cartpole.discount": (0.9, [*RL, *RL_FIGURES]),
    "rl.environments.pendulum.discount": (0.9, []),
    "rl.save_every": (1, []),
    "vae.evaluation_samples": (
        2,
        [*train_vae(*VAE), *MEASURED, *PICTURES, *VAE_FIGURES, *BENCHMARK, *COMPARED],
    ),
    "benchmark.timings": (3, TOYS + BENCHMARK),
    "benchmark.toys.steps": (9, TOYS),
    "benchmark.vae.draws": (4, BENCHMARK),
    "benchmark.vae.steps": (5, [*COMPARED, "figure_15", "all"]),
}
EDITED_FILES = {
    "estimators/rebar.py": [
        *train_toy("rebar"),
        *tune("rebar"),
        *train_vae("rebar"),
        *MEASURED,
        *PICTURES,
        *THEORY,
        *TOY_FIGURES[:-1],
        *VAE_FIGURES,
        *TOYS,
        *BENCHMARK,
    ],
    "experiments/toy/categorical.py": [
        *(*train_categorical(*TOY), *CATEGORICAL_FIGURES, *TOYS, "benchmark_vae"),
    ],
    "experiments/vae/figures.py": ["figure_3", "figure_4", "figure_5", "all"],
    "experiments/theory/tables.py": [*THEORY, "all"],
    "data/images.py": [
        *("prepare_data", *train_vae(*VAE), *MEASURED, *PICTURES, *VAE_FIGURES),
        *(*BENCHMARK, *COMPARED),
    ],
    "data/preparation.py": [
        *("prepare_data", *train_vae(*VAE), *MEASURED, *PICTURES, *VAE_FIGURES),
        *(*BENCHMARK, *COMPARED),
    ],
    "data/downloads.py": [],
    "data/datasets.py": [],
    "experiments/vae/variance.py": [*MEASURED, "figure_4", "all"],
    "experiments/vae/frozen.py": [*MEASURED, *PICTURES, "figure_4", *BENCHMARK],
    "experiments/benchmark/summary.py": [*BENCHMARK_FIGURES],
    "experiments/benchmark/vae_training.py": [*COMPARED, "figure_15", "all"],
    "estimators/a2c.py": ["train_policy a2c", *RL_FIGURES],
    "experiments/control/problem.py": [*RL, *RL_FIGURES],
    "experiments/vae/midtraining.py": [*MIDTRAINING, "all"],
    "relaxations/standardised.py": ["reparameterize", "train_factors", *PATHS],
    "experiments/reparameterization/model.py": ["train_factors", *PATHS],
    "runs/provenance.py": ["all"],
    "experiments/structure/cost.py": [*STRUCTURE, *STRUCTURE_FIGURES],
    "experiments/structure/graph_figures.py": ["figure_18", "all"],
}


def with_provenance(expected):
    """Sorted, each once: whatever is made again, what it was made with is noted again."""
    return sorted({*expected, "provenance"} if expected else [])


@pytest.mark.parametrize("key", EDITED_KEYS)
def test_an_edited_key_reruns_what_reads_it(tiny, tmp_path, key):
    """One leaf of the configuration: exactly the jobs that read it, and what is made of them."""
    value, expected = EDITED_KEYS[key]
    config = write_config(tmp_path, {key: value})
    assert sorted(set(tiny.planned(config=config))) == with_provenance(expected)


def test_more_seeds_run_the_new_seeds_only(tiny, tmp_path):
    """Seeds 0 and 1 are there; the third is a job of its own in each estimator."""
    jobs = tiny.planned_jobs(config=write_config(tmp_path, {"toy.seeds": 3}))
    runs = [job for job in jobs if job.wildcards]
    assert len(runs) == 2 * len(TOY) + len(TUNED)
    assert {(job.wildcards["first"], job.wildcards["last"]) for job in runs} == {("2", "2")}


@pytest.mark.parametrize(
    "value",
    [1, 0.1, 1e-7, 1e30],
)
def test_numbers_in_paths_find_their_rule(tiny, tmp_path, value):
    """A learning rate is part of a path, however Python writes it."""
    config = write_config(tmp_path, {"vae.learning_rates": [value]})
    assert "measure_variance rebar" in tiny.planned("figure_4", config=config)


@pytest.mark.parametrize("file", EDITED_FILES)
def test_an_edited_file_reruns_what_imports_it(built_copy, file):
    """One file of the package: exactly the jobs that load it, and what is made of them."""
    with open(built_copy.path / "src" / "relax" / file, "a", encoding="utf-8") as source:
        source.write("\nEDITED = True\n")
    assert sorted(set(built_copy.planned())) == with_provenance(EDITED_FILES[file])


def test_comments_and_docstrings_rerun_nothing(built_copy):
    """Nor does the layout: what counts is what the code says."""
    for path in (built_copy.path / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r'^"""[^"]*"""', '"""Another docstring."""', text)
        path.write_text(text + "\n\n# a comment\n", encoding="utf-8")
    assert built_copy.planned() == []


def test_another_version_of_a_package_reruns_everything(tiny, tmp_path):
    """Of one that computes: results of two versions are not to be mixed without a word."""
    other = tmp_path / "site" / "torch-9.9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n")
    planned = tiny.planned(environment={"PYTHONPATH": str(other.parent)})
    assert {"train_vae rebar", "train_toy exact", "prepare_data", "theory"} <= set(planned)


def test_touching_files_reruns_nothing(built_copy):
    """A new time of change with the same content is no edit; nor is moving the folder."""
    for path in (built_copy.path / "src").rglob("*.py"):
        path.touch()
    assert built_copy.planned() == []


def test_an_edited_script_reruns_its_rule(built_copy):
    """Scripts are tracked by snakemake itself, by their content."""
    script = built_copy.path / "workflow" / "scripts" / "summarise.py"
    source = script.read_text(encoding="utf-8")
    script.write_text(source.replace("(table)))", "(table), 4))"), encoding="utf-8")
    expected = [
        "all",
        *(
            f"table_{name}"
            for name in ("midtraining", "gradients", "rl", "toy", "vae", "estimators")
        ),
        *("table_reparameterization", "table_structure"),
    ]
    assert built_copy.planned() == with_provenance(expected)


def made(project):
    """The bytes of all that a run makes, but for what tells of times and machines."""
    return {
        path.relative_to(project.path): path.read_bytes()
        for top in ("results/tiny", "figures/tiny")
        for path in (project.path / top).rglob("*")
        if path.is_file() and not {"logs", "benchmarks"} & set(path.parts)
        if path.stem not in ("provenance", "seconds", "estimators", "structure")
        if not path.stem.startswith(("fig14", "fig15"))
    }


def test_the_same_configuration_gives_the_same_bytes(tiny, tmp_path):
    """Again, in another folder, one job at a time, in a locale that knows no θ: all files."""
    project = Project.fresh(tmp_path / "project")
    run = project.snakemake("--cores", "1", environment=LOCALE_C, anew=False)
    assert run.returncode == 0, run.stdout
    first, second = made(tiny), made(project)
    assert len([path for path in first if path.suffix in (".csv", ".pt", ".svg", ".pdf")]) > 50
    assert "θ".encode() in first[Path("results/tiny/tables/claims.md")]
    assert first.keys() == second.keys()
    assert [str(path) for path in first if first[path] != second[path]] == []
    for path in (project.path / "results/tiny/logs").rglob("*.log"):
        path.read_text(encoding="utf-8")


def test_a_seed_does_not_depend_on_its_company(tiny, tmp_path):
    """Seeds run one a job give the rows that they give side by side, to rounding."""
    apart = [f"results/tiny/toy/t0.45/relax/seeds{seed}-{seed}.csv" for seed in (0, 1)]
    config = write_config(tmp_path, {"toy.seeds_per_job": 1})
    project = Project.fresh(tmp_path / "project")
    run = project.snakemake(*apart, "--cores", "2", config=config)
    assert run.returncode == 0, run.stdout
    alone = pd.concat([pd.read_csv(project.path / path) for path in apart], ignore_index=True)
    together = pd.read_csv(tiny.path / "results/tiny/toy/t0.45/relax/seeds0-1.csv")
    assert together.loc[together.step == 40, "theta"].nunique() == 2  # the seeds do differ
    pd.testing.assert_frame_equal(alone, together, rtol=1e-9, atol=1e-12)


def test_a_new_estimator_reruns_no_training(built_copy):
    """A line more in the registry, or another label: what shows it is made again, no training."""
    registry = built_copy.path / "src" / "relax" / "estimators" / "registry.py"
    text = registry.read_text(encoding="utf-8")
    registry.write_text(text.replace('"REINFORCE"', '"score function"'), encoding="utf-8")
    planned = built_copy.planned()
    assert "figure_1" in planned
    assert not [job for job in planned if job.startswith(("train", "tune", "measure"))]
