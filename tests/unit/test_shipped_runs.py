"""The packed runs of archive/: whole, small, and what docs/results/paper_scale.md shows of them."""

import numpy as np
import pandas as pd
import yaml
from unit.made_up import as_read
from workflow.project import ROOT

from relax.experiments.archive import rates_summary, summary
from relax.experiments.archive.stack import read_packed, stack
from relax.experiments.control import rates_summary as control_rates_summary
from relax.experiments.control import summary as control_summary
from relax.experiments.vae import published_summary
from relax.runs.archives import SUMS

SHIPPED = ROOT / "archive"


def test_the_shipped_runs_are_whole_and_small():
    """Every folder of archive/ is what was packed; a few megabytes in all."""
    folders = sorted(path.parent for path in SHIPPED.glob(f"*/{SUMS}"))
    assert len(folders) >= 3
    for folder in folders:
        read_packed(folder)
    assert sum(p.stat().st_size for p in SHIPPED.rglob("*") if p.is_file()) < 4_000_000
    config = yaml.safe_load((ROOT / "config" / "archive.yaml").read_text(encoding="utf-8"))
    named = [*config["archive"]["runs"], *config["archive"]["tried"]]
    assert sorted(named) == [folder.name for folder in folders]


def test_the_table_of_rates():
    """What was found at epoch 50 of `nonlinear`, from the packed tables."""
    names = ("rates", "deep_phi", "fast_phi", "tanh")
    first, *tried = (SHIPPED / f"mnist_nonlinear_{name}" for name in names)
    table = rates_summary.summarise(stack([first], tried)["tried"])
    assert set(table.epoch) == {50}
    found = {
        (row.estimator, row.learning_rate, row.run.removeprefix("mnist_nonlinear_")): row
        for row in table.itertuples()
    }
    elbos = {key: round(row.train_elbo, 2) for key, row in found.items()}
    assert elbos == {
        ("rebar", 0.001, "rates"): -121.95,
        ("rebar", 0.0005, "rates"): -117.52,
        ("rebar", 0.0002, "rates"): -116.84,
        ("relax", 0.001, "rates"): -122.29,
        ("relax", 0.001, "deep_phi"): -123.04,
        ("relax", 0.0005, "rates"): -117.52,
        ("relax", 0.0005, "fast_phi"): -117.87,
        ("relax", 0.0005, "tanh"): -117.46,
        ("relax", 0.0002, "rates"): -117.04,
        ("relax", 0.0002, "tanh"): -117.19,
        ("concrete", 0.001, "rates"): -117.24,
        ("concrete", 0.0005, "rates"): -114.66,
    }
    assert found["rebar", 0.001, "rates"].published_train_elbo == -120.06
    assert found["relax", 0.001, "rates"].published_train_elbo == -115.44
    assert np.isnan(found["concrete", 0.001, "rates"].published_train_elbo)
    # Packed later: what the older configuration does not name yet is no difference.
    assert found["relax", 0.0005, "tanh"].settings == "surrogate.activation: tanh"
    deep = "surrogate.hidden: [200, 200, 200, 200]"
    assert deep in found["relax", 0.001, "deep_phi"].settings


def test_the_page_shows_the_shipped_runs():
    """Its tables are what comes of archive/ and config/archive.yaml, every digit."""
    config = yaml.safe_load((ROOT / "config" / "archive.yaml").read_text(encoding="utf-8"))
    runs, tried = ([SHIPPED / n for n in config["archive"][key]] for key in ("runs", "tried"))
    made = stack(runs, tried)
    tables = {
        "runs": summary.summarise(made["jobs"]),
        "learning_rates": rates_summary.summarise(made["tried"]),
        "published": published_summary.summarise(made["training"]),
        "rl": control_summary.summarise(made["policies"]),
        "rl_rates": control_rates_summary.summarise(made["policies"]),
    }
    for name, table in tables.items():
        shown = pd.read_csv(ROOT / "docs" / "tables" / "archive" / f"{name}.csv")
        pd.testing.assert_frame_equal(as_read(table), shown, check_dtype=False)
