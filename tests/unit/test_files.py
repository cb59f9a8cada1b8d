"""Tables, data sets and figures: what is written reads back, and damage is named."""

import numpy as np
import pandas as pd
import pytest

from relax.data.images import load_images
from relax.errors import DataError
from relax.estimators.registry import REGISTRY
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
    assert len({(look["color"], look["dashes"]) for look in looks}) == len(looks)
    assert len({look["color"] for look in looks[:9]}) == 9
    points = {
        (look["color"], estimator_marker(name)) for look, name in zip(looks, REGISTRY, strict=True)
    }
    assert len(points) == len(looks)
