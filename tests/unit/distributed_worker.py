"""One of two processes of `test_distributed_data_parallel_averages_over_processes`.

    python distributed_worker.py FOLDER RANK

Writes the gradients of its half of the batch, averaged by DistributedDataParallel; process 0 also
those of the whole batch, computed alone.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import relax

BATCH = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(6, 2)
NOISE = torch.linspace(0.05, 0.95, 18, dtype=torch.float64).reshape(1, 6, 3)


class Model(nn.Module):
    """Encoder, decoder, and an Expectation whose noise is given."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(2, 3).double(), nn.Linear(3, 2).double()
        self.E = relax.Expectation("relax", latents=3, context=2, dtype=torch.float64)

    def forward(self, x):
        return self.E(lambda b: (self.decoder(b) - x).square().sum(-1), self.encoder(x), context=x)


def gradients(model, x, rows):
    """One backward pass with the rows' own share of the noise."""
    from relax.frontdoor import expectation

    expectation.draw_noise = lambda *given: relax.Noise(NOISE[:, rows])
    model.zero_grad()
    model(x[rows]).mean().backward()
    return {key.removeprefix("module."): p.grad for key, p in model.named_parameters()}


def main(folder, rank):
    torch.manual_seed(0)
    model = Model()
    if rank == 0:
        alone = gradients(model, BATCH, slice(None))
        torch.save({key: g.clone() for key, g in alone.items()}, folder / "alone.pt")
    store = f"file://{folder / 'store'}"
    patience = timedelta(minutes=8)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=patience)
    parallel = DistributedDataParallel(model)
    for _ in range(2):  # buckets are rebuilt after the first pass
        found = gradients(parallel, BATCH, slice(3 * rank, 3 * rank + 3))
    torch.save(found, folder / f"rank{rank}.pt")
    dist.barrier()
    # Not by Python's own end: there torch's reducer, which holds the interpreter's lock, now and
    # then waits for good for a thread of gloo's that waits for the lock.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
