"""One thread a process, as in the pipeline's jobs: the cores are filled by pytest-xdist."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported
