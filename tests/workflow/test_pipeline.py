"""The tiny run: every promised file is there, and is what it should be."""

import json
import re
import struct
from xml.etree import ElementTree

import pandas as pd
import pytest
from workflow.project import (
    COMPARED,
    LOCALE_C,
    PROBLEMS,
    RL,
    RL_RUN,
    STRUCTURE,
    TOY,
    TUNED,
    VAE,
    VAE_RUN,
    Project,
    names,
    read_jobs,
)

FIGURES = {
    "fig0_claims": "Claims",
    "fig1_toy_training": "Toy problem",
    "fig2_toy_variance_relaxation": "Toy problem",
    "fig3_vae_training": "Discrete VAE",
    "fig4_vae_variance": "Discrete VAE",
    "fig5_vae_midtraining": "Discrete VAE",
    "fig6_optimal_relaxation": "Optimal relaxation",
    "fig7_optimum_vs_theta": "Optimal relaxation",
    "fig8_concrete_bias_variance": "Optimal relaxation",
    "fig9_estimator_terms": "Optimal relaxation",
    "fig10_eta": "Optimal relaxation",
    "fig11_rl": "Reinforcement learning",
    "fig12_vae_pictures": "Discrete VAE",
    "fig13_cartpole": "Reinforcement learning",
    "fig14_estimators": "Estimators",
    "fig15_training_at_equal_cost": "Estimators",
    "fig16_generalised_reparameterization": "Generalised reparameterization",
    "fig17_structure": "Graph structure",
    "fig18_graph": "Graph structure",
}
# What each figure must say of the scale at which it was run.
SCALES = {
    "fig0": ["claims: ", "nearer to failing"],
    "fig1_": ["2 seeds", "40 steps", "one choice among 3: 2 seeds, 30 steps"],
    "fig2": ["2 seeds", "40 steps", "one choice among 3: 2 seeds, 30 steps"],
    "fig3": ["digits", "2 seeds", "12 iterations"],
    "fig4": ["digits", "2 seeds", "12 iterations"],
    "fig5": ["digits", "2 seeds", "4 updates", "step 6"],
    "fig6": ["2 seeds", "independent noise"],
    "fig7": ["exact", "3 values"],
    "fig8": ["exact", "one latent"],
    "fig9": ["one latent, independent noise"],
    "fig10": ["2 seeds", "independent noise"],
    "fig11": ["cartpole: 2 seeds"],
    "fig13": ["seed 0", "frames of training"],
    "fig12": ["digits", "REBAR", "seed 0"],
    "fig14": ["2 seeds", "2 checkpoints"],
    "fig15": ["2 seeds", "8 steps"],
    "fig16": ["2 seeds, 6 updates", "Poisson factors: 2 seeds, 4 steps"],
    "fig17": ["11 nodes, 853 rows; 2 seeds, 48 evaluations of", "coupled noise"],
    "fig18": ["11 nodes, 853 rows", "mean over 2 seeds"],
}
TABLES = ["toy", "vae", "midtraining", "gradients", "rl", "estimators"]
TABLES += ["reparameterization", "structure", "claims", "provenance"]
THEORY = ["optimum", "concrete", "relaxations", "terms", "eta", "latents", "equations"]
THEORY += ["family", "toy_assumptions"]
KINDS = ("csv", "pt")
JOBS = [
    "data/digits",
    *(f"toy/t0.45/{name}/seeds0-1" for name in TOY),
    *(f"toy/t0.45/{name}/relaxation_seeds0-1" for name in TUNED),
    *(f"toy/categorical/{name}/seeds0-1" for name in TOY),
    *(f"{VAE_RUN.format(name)}/training" for name in VAE),
    *(f"{VAE_RUN.format('rebar')}/{name}" for name in ("variance", "midtraining", "pictures")),
    *(f"{RL_RUN.format(name)}/training" for name in RL),
    *(f"benchmark/{name}" for name in PROBLEMS),
    *(f"benchmark/vae/digits/linear1/{name}" for name in ("variance", *COMPARED)),
    *(f"structure/{name}/seeds0-1" for name in STRUCTURE),
    "structure/graphs",
    *(f"figures/{name}" for name in FIGURES),
    "theory",
    "reparameterization/costs",
    "reparameterization/training",
    "tables/reparameterization",
    "tables/toy",
    "tables/vae",
    "tables/midtraining",
    "tables/gradients",
    "tables/rl",
    "tables/estimators",
    "tables/structure",
    "tables/claims",
    "tables/provenance",
]


def test_the_run_started_every_job_once(tiny):
    """One job a data set, estimator, table and figure, and no other."""
    expected = [
        "all",
        "prepare_data",
        *(f"train_toy {name}" for name in TOY),
        *(f"train_categorical_toy {name}" for name in TOY),
        *(f"tune_relaxation {name}" for name in TUNED),
        *(f"train_vae {name}" for name in VAE),
        "measure_variance rebar",
        "midtraining rebar",
        "pictures rebar",
        "theory",
        "reparameterize",
        "train_factors",
        *(f"train_policy {name}" for name in RL),
        *["benchmark_toys"] * len(PROBLEMS),
        "benchmark_vae",
        *(f"train_benchmark_vae {name.split('/')[0]}" for name in COMPARED),
        "structure_graphs",
        *(f"train_structure {name}" for name in STRUCTURE),
        *(f"figure_{number}" for number in range(19)),
        "table_reparameterization",
        "table_toy",
        "table_vae",
        "table_midtraining",
        "table_gradients",
        "table_rl",
        "table_estimators",
        "table_structure",
        "table_claims",
        "provenance",
    ]
    assert names(read_jobs(tiny.output("first"))) == sorted(expected)


def test_a_run_prints_no_warning(tiny):
    """What a library deprecates today breaks tomorrow."""
    assert "Warning" not in tiny.output("first")


def test_a_run_finds_its_profile(tiny):
    """Snakemake looks for it beside the Snakefile; without it a killed run does not go on."""
    assert "Using workflow specific profile profiles/default" in tiny.output("first")


def test_a_second_run_has_nothing_to_do(tiny):
    """Nothing reruns by surprise."""
    assert "Nothing to be done" in tiny.output("second")
    assert read_jobs(tiny.output("second")) == []


def test_a_run_leaves_the_promised_files_and_no_other(tiny, results):
    """Results, figures, logs and benchmarks by name; no temporary files."""
    expected = {results / "logs" / f"{job}.log" for job in JOBS}
    expected |= {results / "benchmarks" / f"{job}.tsv" for job in JOBS}
    several = [f"structure/{name}/seeds0-1" for name in STRUCTURE]
    elsewhere = ("data", "figures", "theory", "benchmark", *several)
    tables = [job for job in JOBS if not job.startswith(elsewhere)]
    expected |= {
        results / run / f"{name}.csv"
        for run in several
        for name in ("training", "edges", "variance", "seconds")
    }
    expected |= {results / f"{job}.csv" for job in tables}
    expected |= {results / "theory" / f"{name}.csv" for name in THEORY}
    expected |= {results / "reparameterization" / "variances.csv"}
    halfway = results / VAE_RUN.format("rebar")
    expected |= {halfway / f"{name}.csv" for name in ("gradients", "assumptions")}
    expected |= {results / "tables" / f"{name}.md" for name in TABLES}
    expected |= {results / "data" / "digits.npz"}
    measured = ("variance", "training", "seconds")
    expected |= {results / "benchmark" / p / f"{name}.csv" for p in PROBLEMS for name in measured}
    compared = results / "benchmark" / "vae" / "digits" / "linear1"
    expected |= {compared / f"{name}.csv" for name in ("variance", "seconds")}
    expected |= {compared / name / "training.csv" for name in COMPARED}
    expected |= {results / VAE_RUN.format(name) / f"best.{kind}" for name in VAE for kind in KINDS}
    expected |= {
        results / RL_RUN.format(name) / file for name in RL for file in ("shown.csv", "policy.pt")
    }
    expected |= {
        results / VAE_RUN.format(name) / f"checkpoint_{step}.pt"
        for name in VAE
        for step in (0, 6, 12)
    }
    expected |= {
        tiny.path / "figures" / "tiny" / f"{name}.{kind}"
        for name in FIGURES
        for kind in ("pdf", "png", "svg")
    }
    made = [p for top in ("results", "figures") for p in (tiny.path / top).rglob("*")]
    assert {path for path in made if path.is_file()} == expected


@pytest.mark.parametrize("job", JOBS)
def test_every_job_has_a_log_and_a_benchmark(results, job):
    """A log that ends well, and one measured run."""
    assert (results / "logs" / f"{job}.log").read_text(encoding="utf-8").endswith("done\n")
    benchmark = pd.read_csv(results / "benchmarks" / f"{job}.tsv", sep="\t")
    assert len(benchmark) == 1
    assert benchmark.s[0] > 0


LONG = [
    job for job in JOBS if job.startswith(("toy", "vae", "rl")) and not job.endswith("pictures")
]


@pytest.mark.parametrize("job", LONG)
def test_a_long_job_logs_its_progress(results, job):
    """Its log says how far it is and how fast; a job with nothing to learn has no steps."""
    log = (results / "logs" / f"{job}.log").read_text(encoding="utf-8")
    assert re.search(r"^.*: step (\d+)/\1, \d+ steps/s", log, re.MULTILINE)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_real(tiny, name):
    """A picture of some size in each format; the svg carries the scale it was run at."""
    stem = tiny.path / "figures" / "tiny" / name
    png = stem.with_suffix(".png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert min(struct.unpack(">II", png[16:24])) > 400  # width and height in pixels
    pdf = stem.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    svg = stem.with_suffix(".svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    # Drawn as outlines, a text leaves its words in a comment.
    words = next(words for start, words in SCALES.items() if name.startswith(start))
    assert all(word in svg for word in words)


RULES = [
    *("prepare_data", "train_toy", "tune_relaxation", "train_vae", "measure_variance"),
    "train_categorical_toy",
    *("midtraining", "pictures"),
    *("theory", "figure_0", "figure_1", "figure_2", "figure_3", "figure_4", "figure_5"),
    *(
        "table_toy",
        "table_vae",
        "table_midtraining",
        "table_gradients",
        "table_claims",
        "figure_12",
        "provenance",
    ),
    *("train_policy", "table_rl", "figure_11", "figure_13"),
    *("benchmark_toys", "benchmark_vae", "train_benchmark_vae"),
    *("table_estimators", "figure_14", "figure_15"),
    *("structure_graphs", "train_structure", "table_structure", "figure_17", "figure_18"),
    *("figure_6", "figure_7", "figure_8", "figure_9", "figure_10"),
    *("reparameterize", "train_factors", "table_reparameterization", "figure_16"),
]


@pytest.mark.parametrize("rule", RULES)
def test_jobs_declare_every_source_that_they_load(tiny, rule):
    """What a job loaded of relax is in its param `code`, so that an edit of it reruns the job."""
    notes = [note for note in tiny.notes if note["rule"] == rule]
    assert notes
    for note in notes:
        # What a run takes from the registry its rule names, so that a new estimator reruns nothing.
        loaded = set(note["loaded"])
        if not rule.startswith(("figure", "table", "theory")):
            loaded -= {"estimators.registry"}
        assert loaded
        assert loaded <= set(note["declared"])


def test_jobs_compute_in_one_thread(tiny):
    """Cores are filled with jobs: two threads on contended cores can be 100 times slower."""
    assert len(tiny.notes) == len(JOBS)
    assert {note["threads"] for note in tiny.notes} == {1}


def test_the_claims_of_one_experiment(built_copy, tmp_path):
    """The ledger's rows of it, judged from its tables; nothing else is run for them."""
    assert built_copy.planned("claims_control") == ["claims_control"]
    run = built_copy.snakemake("claims_control", "claims_theory", "--cores", "1")
    assert run.returncode == 0, run.stdout
    tables = built_copy.path / "results" / "tiny" / "tables"
    ledger = pd.read_csv(tables / "claims.csv")
    for name in ("control", "theory"):
        alone = pd.read_csv(tables / f"claims_{name}.csv")
        assert 0 < len(alone) < len(ledger)
        rows = ledger[ledger.claim.isin(alone.claim)].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, rows, check_dtype=False)
    fresh = Project.fresh(tmp_path / "fresh").planned("claims_control")
    assert {job.split()[0] for job in fresh} == {"claims_control", "train_policy"}


def test_the_report_shows_every_figure_and_table(built_copy):
    """One file, with each figure and table under its category and with its caption.

    Written in a locale that knows no θ, of which the captions have many.
    """
    words = ("--cores", "1", "--report", "report.html")
    run = built_copy.snakemake(*words, environment=LOCALE_C)
    assert run.returncode == 0, run.stdout
    html = (built_copy.path / "report.html").read_text(encoding="utf-8")
    (categories,) = re.findall(r"^\s*var categories = (\{.*\});$", html, re.MULTILINE)
    shown = {
        path: category
        for category, groups in json.loads(categories).items()
        for paths in groups.values()
        for path in paths
    }
    expected = {f"figures/tiny/{name}.svg": category for name, category in FIGURES.items()}
    expected |= {
        "results/tiny/tables/toy.csv": "Toy problem",
        "results/tiny/tables/vae.csv": "Discrete VAE",
        "results/tiny/tables/midtraining.csv": "Discrete VAE",
        "results/tiny/tables/gradients.csv": "Discrete VAE",
        "results/tiny/tables/rl.csv": "Reinforcement learning",
        "results/tiny/tables/reparameterization.csv": "Generalised reparameterization",
        "results/tiny/tables/structure.csv": "Graph structure",
        "results/tiny/tables/claims.csv": "Claims",
        "results/tiny/tables/provenance.csv": "Provenance",
    }
    assert expected.items() <= shown.items()
    (entries,) = re.findall(r"^\s*var results = (\{.*\});$", html, re.MULTILINE)
    for path, entry in json.loads(entries).items():
        assert re.sub("<[^>]*>", "", entry["caption"]).strip(), path
        assert entry["data_uri"].startswith("data:"), path
