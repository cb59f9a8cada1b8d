"""Exact answers by enumeration over b."""

from relax.relaxations.bernoulli import BERNOULLI


def enumerate_expectation(function, logits, relaxation=BERNOULLI):
    """E[function(b)] by enumeration; `function`: [replica, batch, latent] -> [replica, batch]."""
    return sum(probability * function(b) for b, probability in relaxation.states(logits))


def enumerate_gradient(cost, logits, relaxation=BERNOULLI):
    """d E[f(b)] / d logits = Σ_b p(b) f(b) (b - θ), by enumeration: [replica, batch, latent].

    Raises:
        ConfigError: more than 16 Bernoulli latents, or a relaxation that cannot be enumerated.
    """
    logits = logits.detach()
    return sum(
        (probability * cost(b)).unsqueeze(-1) * relaxation.score(logits, b)
        for b, probability in relaxation.states(logits)
    ).detach()
