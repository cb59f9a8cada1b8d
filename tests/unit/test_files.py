"""Tables, data sets and figures: what is written reads back, and damage is named."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from relax.data.images import load_images
from relax.errors import DataError
from relax.estimators.registry import REGISTRY
from relax.experiments.benchmark.figures import group_of
from relax.presentation.common import rounded
from relax.presentation.style import estimator_look, estimator_marker
from relax.runs.tables import read_tables, write_markdown, write_table


def test_floats_read_back_equal(tmp_path):
    values = np.concatenate([np.random.default_rng(0).normal(size=200) ** 9, [np.pi, 1e-300, 0.1]])
    write_table(pd.DataFrame({"x": values}), tmp_path / "t.csv")
    assert (read_tables([tmp_path / "t.csv"]).x.to_numpy() == values).all()


def test_markdown_is_for_people(tmp_path):
    write_markdown(
        rounded(pd.DataFrame({"a": [1.23456789, np.nan], "b": ["x", "y"]})), tmp_path / "t.md"
    )
    text = (tmp_path / "t.md").read_text()
    assert "1.2346" in text
    assert "nan" not in text


def test_large_numbers_are_whole_for_people():
    """Small ones have the digits asked for; what is beyond reading keeps its exponent."""
    values = [15871.4, -99999.96, 2.5e6, 0.000123456, 1e300, np.inf]
    shown = rounded(pd.DataFrame({"a": values}), digits=3).a.tolist()
    assert shown == ["15871", "-100000", "2500000", "0.000123", "1e+300", "inf"]


GOOD = {name: np.eye(4, dtype=np.uint8) for name in ("train", "valid", "test")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"valid": np.zeros((0, 4), np.uint8)}, "'valid' should be .* at least one image"),
        ({"test": np.zeros((3, 5), np.uint8)}, "'test' should be"),
        ({"train": np.full((2, 4), 7, np.uint8)}, "'train' has values other than 0 and 1"),
    ],
)
def test_wrong_data_is_named(tmp_path, change, reason):
    np.savez(tmp_path / "d.npz", **(GOOD | change), shape=np.array([2, 2]))
    with pytest.raises(DataError, match=rf"d\.npz.*{reason}"):
        load_images(tmp_path / "d.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", None])
def test_damaged_data_is_named(tmp_path, content):
    path = tmp_path / "d.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"d\.npz is not a prepared data set"):
        load_images(path)


def test_every_estimator_has_its_own_look():
    looks = [estimator_look(name) for name in REGISTRY]
    assert len({look["color"] for look in looks}) == len(looks)
    points = {
        (look["color"], estimator_marker(name)) for look, name in zip(looks, REGISTRY, strict=True)
    }
    assert len(points) == len(looks)


# Linear RGB as readers without red or green cones see it (Machado et al., 2009), and Oklab
# (Ottosson, 2020), in hundredths.
EYES = [
    np.eye(3),
    [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
]
CONES = [[0.4122, 0.5363, 0.0515], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
LAB = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]


def apart(first, second):
    """How far apart two colours are to the reader to whom they are nearest."""
    both = np.array([to_rgb(first), to_rgb(second)])
    linear = np.where(both <= 0.04045, both / 12.92, ((both + 0.055) / 1.055) ** 2.4)
    seen = (np.clip(linear @ np.transpose(eyes), 0, 1) for eyes in EYES)
    lab = (np.cbrt(each @ np.transpose(CONES)) @ np.transpose(LAB) for each in seen)
    return 100 * min(np.linalg.norm(one - other) for one, other in lab)


def test_distances_are_those_of_the_reader_who_sees_least():
    """The control: black and white are 100 apart; of one lightness red and green are near."""
    assert apart("#000000", "#FFFFFF") == pytest.approx(100, abs=0.5)
    assert apart("#B0503C", "#6F7A1E") < 8


def test_colours_and_dashes_stay_apart_for_all_readers():
    """Of those in one panel of figure 15 both differ; those in one figure differ in colour.

    Two of the paper's own keep the palette that they have.
    """
    names = [n for n, e in REGISTRY.items() if {"toy", "vae"} & {*e.sections} and n != "exact"]
    own = list(REGISTRY)[:9]
    for first, second in itertools.combinations(names, 2):
        one, other = estimator_look(first), estimator_look(second)
        same_panel = group_of(first) == group_of(second)
        assert not same_panel or one["dashes"] != other["dashes"], (first, second)
        if {first, second} <= {*own}:
            continue
        assert apart(one["color"], other["color"]) > (12 if same_panel else 6), (first, second)
