"""Checkpoints: tensors only, written whole, read without unpickling code."""

import torch

from relax.errors import DataError
from relax.files import placed_whole


def save_checkpoint(tensors, path):
    """Save a flat dict of tensors; `torch.load(..., weights_only=True)` reads it."""
    # Through a handle: given a path, torch writes the temporary name into the archive.
    with placed_whole(path) as temporary, open(temporary, "wb") as file:
        torch.save({name: tensor.detach().cpu() for name, tensor in tensors.items()}, file)


def load_checkpoint(path):
    """The dict of tensors in a checkpoint.

    Raises:
        DataError: the file is not a readable checkpoint.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise DataError(
            f"{path} is not a readable checkpoint ({error}); delete it and rerun"
        ) from None
