"""The formula at speed: the same estimates, from derivatives that are written out.

`relax.estimators.formula` says what is computed, and nothing here changes it but by rounding. A
surrogate that knows its value, its slope and their derivatives in φ (`surrogates.closed_forms`)
spares the tape most of a step; a cost that knows b before c is evaluated can take f(b) and the
relaxed value through the same products. Estimators ask for it by name: REBAR, RELAX, and of its
second half Concrete and MuProp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from relax.estimators.formula import Estimate, corrected
from relax.numerics.checks import evaluate
from relax.relaxations.bernoulli import BERNOULLI, Bernoulli
from relax.surrogates.closed_forms import differentiable

if TYPE_CHECKING:
    from relax.numerics.signatures import Cost
    from relax.numerics.streams import Noise
    from relax.relaxations.relaxation import Draw, Relaxation
    from relax.surrogates.base import Surrogate
    from relax.surrogates.closed_forms import ClosedForm


def closed_form_estimate(
    surrogate: Surrogate,
    cost: Cost,
    logits: Tensor,
    noise: Noise,
    context: Tensor | None = None,
    relaxation: Relaxation = BERNOULLI,
) -> Estimate:
    """`formula.control_variate_estimate`, in closed form where there is one.

    There is with coupled noise and Bernoulli latents, if the surrogate has one for this cost.
    """
    logits = logits.detach()
    draw = relaxation.draw(logits, noise)
    expect(cost, draw.b)
    simple = draw.z_tilde is draw.z and type(relaxation) is Bernoulli
    if simple and (form := surrogate.closed_form(draw.z, cost, context)):
        return coupled_estimate(form, cost, draw)
    return corrected(draw, surrogate, cost, logits, context, relaxation)


def coupled_estimate(form: ClosedForm, cost: Cost, draw: Draw) -> Estimate:
    """The formula where c is a `ClosedForm`, z~ is z in value, and ∂z/∂α = 1.

    There g = s score + rest ⊙ ∂c/∂z with the signal s = f(b) - c and rest = 1 - dz~/dα. So the
    derivative of Σ a s + Σ w·g in c is -(a + w·score), and that in ∂c/∂z is w ⊙ rest.
    """
    b, score, rest = draw.b, draw.score, 1 - draw.dz_tilde
    with torch.no_grad():
        c, slope, of_c = form.evaluate()
    f = evaluate(cost, b)
    with torch.no_grad():
        signal = f - c
        gradient = torch.addcmul(slope * rest, signal.unsqueeze(-1), score)

    def derivatives(a, w, wanted):
        in_c = (w * score).sum(-1).neg_()
        return of_c(in_c if a is None else in_c.sub_(a), w * rest, wanted)

    def in_surrogate(w):
        wanted = [x.requires_grad for x in form.inputs]
        with torch.no_grad():
            found: dict[Tensor, Tensor] = {}
            for x, d in zip(form.inputs, derivatives(None, w, wanted), strict=True):
                # What c holds twice, such as one network in both parts of a sum, adds up.
                found[x] = found[x] + d if x in found and d is not None else d
            return found

    signal, gradient = differentiable((signal, gradient), derivatives, form.inputs)
    return Estimate(b, f, gradient, signal, WrittenOut(gradient, in_surrogate))


class WrittenOut(NamedTuple):
    """Of this very gradient, the function that `derivatives_in_surrogate` returns."""

    gradient: Tensor
    derivatives: Callable[[Tensor], dict[Tensor, Tensor]]

    def moved(self, gradient: Tensor, new: Tensor) -> WrittenOut | None:
        """The same for `new`, which differs from `gradient` by what φ has no part in."""
        return WrittenOut(new, self.derivatives) if self.gradient is gradient else None

    def held(self, gradient: Tensor, new: Tensor, fixed: Tensor) -> WrittenOut | None:
        """The same for `new`, which is `gradient` with zeros where `fixed` is true."""
        if self.gradient is not gradient:
            return None
        return WrittenOut(new, lambda w: self.derivatives(w.masked_fill(fixed, 0.0)))


def derivatives_in_surrogate(estimate: Estimate) -> Callable[..., dict[Tensor, Tensor]] | None:
    """(w [replica, batch, latent]) -> {parameter: derivative of Σ w·gradient}, or None.

    They are what the gradient's graph gives. There are none where the surrogate has no closed form,
    or where the gradient is no longer the one that they were written out for.
    """
    written_out = estimate.written_out
    if written_out and written_out.gradient is estimate.gradient:
        return written_out.derivatives
    return None


def expect(cost: Cost, b: Tensor) -> None:
    """Tell a cost that wants to know that f(b) will be asked for, once c has been evaluated.

    A cost with a method `expect(b)` may then evaluate f(b) along with the relaxed value that a
    surrogate asks for, in one product instead of two.
    """
    if hasattr(cost, "expect"):
        cost.expect(b)
