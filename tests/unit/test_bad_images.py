"""Images that are not what their declaration says: refused in one sentence."""

import numpy as np
import pytest
from scipy.io import loadmat
from unit.test_preparation import BUILT_IN, PLAIN, SPLIT, prepared, write

from relax.data.datasets import preparation
from relax.data.pins import mismatch, pin_of
from relax.data.preparation import READERS
from relax.errors import DataError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 1 1\n0 1\n", "is not a readable table of numbers: .*columns changed from 3 to 2"),
        ("0 1 x 0 1 0\n", "is not a readable table of numbers: could not convert string 'x'"),
        ("0 255 0 0 0 0\n", r"has values outside \[0, 1\]: from 0.0 to 255.0"),
        ("0 nan 0 0 0 0\n", "has values that are not finite numbers"),
        ("0 0.5 0 0 0 0\n", "has grey levels between 0 and 1: set the data set's 'binarize'"),
        ("0 1 0 0 0\n", r"should be \[image, 6\], for images of 2x3; it is \[1, 5\]"),
    ],
)
def test_bad_text_is_named(tmp_path, text, reason):
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="ascii")
    held = {"train": {"key": "X"}, "valid": {"held_out": 2}, "test": {"held_out": 1}}
    with pytest.raises(DataError, match=rf"a\.txt.* {reason}"):
        prepared(tmp_path, PLAIN | {"format": "text", "splits": held}, path)


def test_the_text_edition_of_mnist_is_as_pinned(mirror, tmp_path):
    """The original files, which other loaders download under the same names, made anew from
    Matlab's edition: they have the pins that are published for them, and are the same images."""
    name, source = "binarized_mnist_test.amat", BUILT_IN["mnist"]["files"]
    array = loadmat(mirror / name)["X"]
    text = np.full((len(array), 2 * array.shape[1]), ord(" "), np.uint8)
    text[:, ::2] = array + ord("0")
    text[:, -1] = ord("\n")
    (tmp_path / name).write_bytes(text.tobytes())
    assert mismatch(tmp_path / name, pin_of(source[name])) is None
    assert mismatch(mirror / name, pin_of(source[name])) is None
    read = READERS["matlab"](tmp_path / name, "X")
    np.testing.assert_array_equal(read, array)
    text[0, 0] ^= 1
    (tmp_path / name).write_bytes(text.tobytes())
    assert "its sha256 is" in mismatch(tmp_path / name, pin_of(source[name]))


def test_columns_of_the_wrong_length_are_named(tmp_path):
    path = write(tmp_path / "a.mat", SPLIT)
    with pytest.raises(DataError, match=r"'train' should be \[6, image\], for images of 2x3"):
        prepared(tmp_path, PLAIN | {"format": "matlab", "images": "columns"}, path)


def test_a_key_that_is_not_there_is_named(tmp_path):
    splits = {"valid": {"key": "validation"}}
    for suffix, kind in (("npz", "npz"), ("mat", "matlab")):
        path = write(tmp_path / f"a.{suffix}", SPLIT)
        with pytest.raises(DataError, match="no array 'validation'; it has: train, valid, test"):
            prepared(tmp_path, PLAIN | {"format": kind, "splits": splits}, path)
    with pytest.raises(DataError, match="scikit-learn's digits has no array 'train'"):
        prepared(tmp_path, {"format": "digits", "shape": [8, 8]})


@pytest.mark.parametrize("held_out", [9, 10])
def test_more_held_out_than_there_is_is_named(tmp_path, held_out):
    path = write(tmp_path / "a.npz", SPLIT)
    splits = {"valid": {"held_out": held_out}}
    with pytest.raises(DataError, match=f"mine: {held_out} images .* training set of 9"):
        prepared(tmp_path, PLAIN | {"splits": splits}, path)


def damage(data):
    return [b"", data[: len(data) // 2], b"not at all of this format" * 20, data[:200] + data[300:]]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize(("suffix", "kind"), [("npz", "npz"), ("mat", "matlab")])
def test_a_file_of_another_kind_is_named(tmp_path, suffix, kind, which):
    """As pinned, and still not readable: the declared format or the file is wrong."""
    path = write(tmp_path / f"a.{suffix}", SPLIT)
    path.write_bytes(damage(path.read_bytes())[which])
    with pytest.raises(DataError, match=rf"a\.{suffix} is not a readable"):
        prepared(tmp_path, PLAIN | {"format": kind}, path)
    assert not (tmp_path / "mine.npz").exists()


def test_newer_matlab_files_are_named(tmp_path):
    """Matlab's v7.3 is another format: the message says how to save the older one."""
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 9)
    with pytest.raises(DataError, match=r"a\.mat is a Matlab v7\.3 file; save it as v5"):
        prepared(tmp_path, PLAIN | {"format": "matlab"}, path)


def test_a_file_that_changed_after_its_download_is_named(tmp_path):
    """The pin is checked where the file is read, too."""
    path = write(tmp_path / "a.npz", SPLIT)
    declared = PLAIN | {"files": {"a.npz": {"sha256": "0" * 64}}}
    with pytest.raises(DataError, match=r"a\.npz is not the pinned file"):
        prepared(tmp_path, declared, path)


def test_an_address_decides_nothing_of_the_images():
    """What the preparation depends on: the pins, not where the files come from."""
    for name, declaration in BUILT_IN.items():
        assert "http" not in str(preparation(declaration)), name
    assert "http" in str(BUILT_IN["mnist"])
