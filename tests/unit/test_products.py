"""Products by oneDNN: the same numbers as in float64, to float32's rounding, and derivatives."""

import pytest
import torch

from relax.numerics import products

INPUTS, OUTPUTS, BATCH = 400, 300, 24  # large: 2.9 million multiplications
# Rounding of a sum of 400 products of numbers about 1, and a margin of ten.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-3}


@pytest.fixture
def calls(monkeypatch):
    """How often the operator is called."""
    if products.ONEDNN is None:
        pytest.skip("this torch has no oneDNN: torch.bmm does everything")
    made, operator = [], products.ONEDNN

    def counted(*arguments):
        made.append(arguments[0].shape)
        return operator(*arguments)

    monkeypatch.setattr(products, "ONEDNN", counted)
    return made


def matrices(replicas, inputs=INPUTS, dtype=torch.float32):
    """bias, h, W and d."""
    generator = torch.Generator().manual_seed(0)
    shapes = (1, OUTPUTS), (BATCH, inputs), (inputs, OUTPUTS), (BATCH, OUTPUTS)
    return [torch.randn(replicas, *shape, generator=generator).to(dtype) for shape in shapes]


def all_products(bias, h, weight, d):
    return [
        products.affine(bias, h, weight),
        products.up(h, weight),
        products.down(d, weight),
        products.in_weight(h, d),
    ]


def expected_products(*factors):
    bias, h, weight, d = (factor.double() for factor in factors)
    return [bias + h @ weight, h @ weight, d @ weight.mT, h.mT @ d]


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype is torch.float32
        torch.testing.assert_close(one.double(), other, **TOLERANCE)


# Of several replicas `in_weight` is not oneDNN's.
@pytest.mark.parametrize(("replicas", "calls_made"), [(1, 4), (3, 9)])
def test_large_products_are_onednns(calls, replicas, calls_made):
    factors = matrices(replicas)
    assert_close(all_products(*factors), expected_products(*factors))
    assert len(calls) == calls_made


def test_matrices_may_lie_transposed_or_be_parts_of_others(calls):
    bias, h, weight, d = matrices(1)
    h, weight, d = h.mT.contiguous().mT, weight.mT.contiguous().mT, d.mT.contiguous().mT
    wide = torch.cat([weight, weight], 1)
    for factors in ((bias, h, weight, d), (bias, h, wide[:, :INPUTS], d)):
        assert_close(all_products(*factors), expected_products(*factors))
    assert len(calls) == 8


@pytest.mark.parametrize("factors", [matrices(1, 100), matrices(1, dtype=torch.float64)])
def test_small_products_and_other_types_are_torchs(calls, factors):
    bias, h, weight, d = factors
    expected = [
        torch.baddbmm(bias, h, weight),
        torch.bmm(h, weight),
        torch.bmm(d, weight.mT),
        torch.bmm(h.mT, d),
    ]
    assert all(map(torch.equal, all_products(*factors), expected))
    assert not calls


def test_a_torch_without_the_operator(monkeypatch):
    monkeypatch.setattr(products, "ONEDNN", None)
    factors = matrices(3)
    assert_close(all_products(*factors), expected_products(*factors))


def derivatives(affine, factors):
    """First derivatives of a function of bias + h W, and second ones along them."""
    factors = [factor.clone().requires_grad_() for factor in factors]
    value = torch.tanh(affine(*factors) / 10).square().sum()
    first = torch.autograd.grad(value, factors, create_graph=True)
    again = sum(g.square().sum() for g in first)
    return [*(g.detach() for g in first), *torch.autograd.grad(again, factors)]


@pytest.mark.parametrize("replicas", [1, 2])
def test_affine_can_be_differentiated_twice(calls, replicas):
    factors = matrices(replicas)[:3]
    found = derivatives(products.affine, factors)
    assert calls
    expected = derivatives(torch.baddbmm, [factor.double() for factor in factors])
    assert_close(found, expected)


def test_what_is_not_wanted_is_not_computed(calls):
    """The images need no derivative, and a frozen map none of its weights."""
    bias, h, weight, _ = matrices(1)
    products.affine(bias, h, weight.requires_grad_()).sum().backward()
    assert calls == [(1, BATCH, INPUTS), (1, INPUTS, BATCH)]
