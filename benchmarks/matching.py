"""The package's parameters under the reference's names and in its shapes, for one seed."""

import re

# How the package's names become the reference's: which part of a sum a surrogate is in, and that
# a temperature is a module of its own, the reference does not say.
RENAMED = (
    (r"parts\.\d+\.", ""),
    (r"temperature\.log", "log"),
    (r"^(surrogates\.\d+\.)layers", r"\1network.layers"),
)


def plain_state(learned):
    """Parameters and buffers of the package's modules as the reference's `learned` has them.

    Weights [1, inputs, outputs] become [outputs, inputs], as `nn.Linear` keeps them, biases
    [outputs]; everything else loses its axes of length 1.
    """
    state = {}
    for name, tensor in learned.state_dict().items():
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        if name.endswith("weight"):
            state[name] = tensor[0].T
        elif name.endswith("bias"):
            state[name] = tensor[0, 0]
        else:
            state[name] = tensor.squeeze()
    return state


def start_alike(reference, trainer):
    """Copy the package's parameters into the reference."""
    reference.learned.load_state_dict(plain_state(trainer.learned))
