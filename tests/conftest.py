"""One thread a process, as in the pipeline's jobs; the real data files, where they are at hand."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import without_torch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported
os.environ["NO_PROXY"] = "127.0.0.1"  # the tests' own server is asked directly

# As in `make test-pythons TORCH=no`.
collect_ignore = without_torch.files() if find_spec("torch") is None else []
MIRROR = os.environ.get("RELAX_TEST_MIRROR")

# Each takes minutes by itself: begun last, one process would end alone with it.
LONGEST = (
    "test_the_same_configuration_gives_the_same_bytes",
    "test_killed_again_and_again",
    "test_random_edits_rerun_what_they_must",
)


def pytest_collection_modifyitems(items):
    """The longest first, then what runs the pipeline, then what calls functions."""
    items.sort(key=lambda item: (item.name not in LONGEST, "workflow" not in item.path.parts))


@pytest.fixture(scope="session")
def mirror():
    """A directory with the real MNIST files and the Omniglot stand-in."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    directory = Path(MIRROR) if MIRROR else beside
    if not (directory / "binarized_mnist_train.amat").is_file():
        pytest.skip("no real data files: name their directory in RELAX_TEST_MIRROR")
    return directory
