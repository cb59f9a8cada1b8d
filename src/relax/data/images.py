"""Binary image data sets in one compact format.

A prepared data set is an `.npz` with `train`, `valid` and `test`: uint8 arrays of 0 and 1,
[image, pixel] with pixels row by row, and `shape`, the height and width of an image.
`relax/data/preparation.py` writes it.
"""

import zlib
from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np
import torch

from relax.errors import DataError

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

    def to(self, device):
        """The same on a device."""
        splits = {name: getattr(self, name).to(device) for name in SPLITS}
        return Images(**splits, shape=self.shape)


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
