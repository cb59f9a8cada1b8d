"""Binary image data sets in one compact format.

A prepared data set is an `.npz` with `train`, `valid` and `test`: uint8 arrays of 0 and 1,
[image, pixel], and `shape`, the height and width of an image.
"""

import zlib
from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np
import torch

from relax.errors import DataError
from relax.files import placed_whole
from relax.streams import generator

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Images:
    """A prepared data set; each split is a float tensor [image, pixel] of 0. and 1."""

    train: torch.Tensor
    valid: torch.Tensor
    test: torch.Tensor
    shape: tuple[int, int]

    @property
    def mean(self):
        """Mean of the training images: [pixel]."""
        return self.train.mean(0)


def digits(seed=0):
    """The 1,797 handwritten digits, 8x8, that ship inside scikit-learn; as arrays by split.

    A pixel is on where its intensity (0..16) is 8 or more. 1,437 / 180 / 180 images, by a
    permutation fixed by `seed`.
    """
    from sklearn.datasets import load_digits

    images = (load_digits().data >= 8).astype(np.uint8)
    images = images[generator(seed, "split").permutation(len(images))]
    held_out = len(images) // 10 + 1
    return {
        "train": images[: -2 * held_out],
        "valid": images[-2 * held_out : -held_out],
        "test": images[-held_out:],
        "shape": np.array([8, 8]),
    }


PREPARE = {"digits": digits}


def prepare(name, path):
    """Write the prepared data set of this name.

    Raises:
        DataError: no data set has this name.
    """
    if name not in PREPARE:
        raise DataError(f"unknown data set '{name}'; there are: {', '.join(PREPARE)}")
    arrays = PREPARE[name]()
    with placed_whole(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_images(path, dtype=torch.float32):
    """Read a prepared data set.

    Raises:
        DataError: missing, damaged, empty, of the wrong shape, or with values that are not 0 or 1.
    """
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*SPLITS, "shape")}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is not a prepared data set: {error}") from None
    height, width = (int(n) for n in arrays["shape"])
    for split in SPLITS:
        images = arrays[split]
        if images.ndim != 2 or images.shape[1] != height * width or len(images) == 0:
            raise DataError(
                f"{path}: '{split}' should be [image, {height * width}] with at least one image; "
                f"it is {list(images.shape)}"
            )
        if images.max() > 1:
            raise DataError(f"{path}: '{split}' has values other than 0 and 1")
    tensors = {split: torch.from_numpy(arrays[split]).to(dtype) for split in SPLITS}
    return Images(**tensors, shape=(height, width))
