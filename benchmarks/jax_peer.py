"""A peer of the training step in JAX: `linear1` by plain automatic differentiation under `jit`.

It runs in an environment of its own (`jax_contestant.py` starts it there): JAX and nothing else.
After "ready" it reads numbers of steps from its input, takes so many, and answers each with their
seconds. The formula is that of the package: coupled noise, RELAX's network beside REBAR's
relaxation, ∂f/∂θ through log q, Adam; 784 pixels, 200 latents, batches of 24.

    python jax_peer.py reinforce|rebar|relax [replicas] [steps] ...
"""

import os
import sys
import time

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}"
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

PIXELS, UNITS, BATCH, IMAGES = 784, 200, 24, 6000
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.99999, 1e-8
name = sys.argv[1]
images = (jax.random.uniform(jax.random.key(0), (IMAGES, PIXELS)) < 0.13).astype(jnp.float32)
mean = images.mean(0)


def linear(key, inputs, outputs):
    bound = (6 / (inputs + outputs)) ** 0.5
    return {"w": jax.random.uniform(key, (inputs, outputs), minval=-bound, maxval=bound),
            "b": jnp.zeros(outputs)}  # fmt: skip


def affine(layer, h):
    return h @ layer["w"] + layer["b"]


def start(seed):
    """Of one replica: parameters θ and φ, their two moments, its random key, and its steps."""
    keys = jax.random.split(jax.random.key(seed), 6)
    theta = {"encoder": linear(keys[0], PIXELS, UNITS), "decoder": linear(keys[1], UNITS, PIXELS)}
    theta |= {"prior": jnp.zeros(UNITS)}
    theta["decoder"]["b"] += jax.scipy.special.logit(mean.clip(1e-3, 1 - 1e-3))
    phi = {}
    if name != "reinforce":
        phi |= {"scale": jnp.ones(()), "log_temperature": jnp.log(0.5)}
    if name == "relax":
        widths = ((PIXELS + UNITS, UNITS), (UNITS, UNITS), (UNITS, 1))
        phi["network"] = [linear(k, *w) for k, w in zip(keys[2:5], widths, strict=True)]
    zeros = jax.tree.map(jnp.zeros_like, (theta, phi))
    return (theta, phi), zeros, zeros, keys[5], jnp.zeros(())


def log_bernoulli(logits, b):
    return jnp.sum(b * logits - jax.nn.softplus(logits), -1)


def cost(theta, x, logits, b):
    """f, of one image."""
    error = -log_bernoulli(affine(theta["decoder"], 2 * b - 1), x)
    return error + log_bernoulli(logits, b) - log_bernoulli(theta["prior"], b)


def surrogate(phi, theta, x, logits, z):
    """c, of one image; 0 for REINFORCE."""
    c = 0.0
    if "scale" in phi:
        y = jax.nn.sigmoid(z * jnp.exp(-phi["log_temperature"]))
        c += phi["scale"] * cost(theta, x, logits, y)
    if "network" in phi:
        *hidden, last = phi["network"]
        h = jnp.concatenate([x - mean, z])
        for layer in hidden:
            h = jax.nn.relu(affine(layer, h))
        c += affine(last, h)[0]
    return c


def estimate(phi, theta, x, u):
    """b, and the gradient in the logits, of one image."""
    logits = jax.lax.stop_gradient(affine(theta["encoder"], x - mean))
    z = logits + jax.scipy.special.logit(u)
    b = (z > 0).astype(z.dtype)
    score = b - jax.nn.sigmoid(logits)
    of_z_tilde = (1 - jnp.abs(score)) * -jnp.expm1(-jnp.abs(z))
    c, slope = jax.value_and_grad(surrogate, 4)(phi, theta, x, logits, z) if phi else (0.0, 0.0)
    f = cost(theta, x, logits, b)
    return b, (f - c) * score + slope * (1 - of_z_tilde) + score


def step(_, state):
    (theta, phi), first, second, key, count = state
    key, of_x, of_u = jax.random.split(key, 3)
    x = images[jax.random.randint(of_x, (BATCH,), 0, IMAGES)]
    u = jax.random.uniform(of_u, (BATCH, UNITS), minval=1e-7, maxval=1 - 1e-7)

    def variance(phi):
        b, g = jax.vmap(estimate, (None, None, 0, 0))(phi, theta, x, u)
        return jnp.sum(g**2) / BATCH, (b, g)

    of_phi, (b, g) = jax.grad(variance, has_aux=True)(phi)

    def model(theta):
        """Its gradient is the estimate through the logits, and that of f in all else."""
        logits = affine(theta["encoder"], x - mean)
        f = jax.vmap(cost, (None, 0, 0, 0))(theta, x, jax.lax.stop_gradient(logits), b)
        return (jnp.sum(jax.lax.stop_gradient(g) * logits) + jnp.sum(f)) / BATCH

    gradient = jax.grad(model)(theta), of_phi
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
    count += 1
    by, over = RATE / (1 - BETA1**count), (1 - BETA2**count) ** 0.5
    learned = jax.tree.map(
        lambda p, m, v: p - by * m / (jnp.sqrt(v) / over + EPSILON), (theta, phi), first, second
    )
    return learned, first, second, key, count


def main(replicas=1):
    state = start(0) if replicas == 1 else jax.vmap(start)(jnp.arange(replicas))
    one = step if replicas == 1 else jax.vmap(step, (None, 0))
    run = jax.jit(lambda steps, state: jax.lax.fori_loop(0, steps, one, state))
    for _ in range(3):  # it compiles once more for the types that it returns
        state = jax.block_until_ready(run(3, state))
    print("ready", jax.__version__, jax.devices()[0].device_kind, flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        state = jax.block_until_ready(run(int(line), state))
        print(time.perf_counter() - started, flush=True)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state[0]))


if __name__ == "__main__":
    main(*map(int, sys.argv[2:]))
