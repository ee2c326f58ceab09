import pytest
import torch
from tests.contracts.test_step_rules import run
from torch import nn

from forgetwell.errors import InputError, UnknownName
from forgetwell.training.rules import Descent, plain, sam, surgery


def descent(parameter, forget, keep):
    """Return the rule's view of two functions of one parameter."""

    def adding(*losses):
        def add():
            values = {str(k): loss(parameter) for k, loss in losses}
            sum(values.values()).backward()
            return {k: v.item() for k, v in values.items()}

        return add

    f, k = [("f", forget)] if forget else [], [("k", keep)] if keep else []
    return Descent([parameter], adding(*f) if f else None, adding(*k) if k else None, adding(*f, *k))


def point(*values):
    return nn.Parameter(torch.tensor(values))


def test_plain_is_the_sum():
    p = point(1.0, 2.0)
    assert plain(descent(p, lambda x: x[0] ** 2, lambda x: 3 * x[1])) == {"f": 1.0, "k": 6.0}
    assert p.grad.tolist() == [2.0, 3.0]


def test_sam_takes_the_forget_gradient_where_a_step_uphill_leads():
    # f = x² + 2y² at (3, 1): ∇ = (6, 4), uphill by ρ = √52: (9, 5) with gradient (18, 20); k adds (0, 1)
    p = point(3.0, 1.0)
    rule = descent(p, lambda x: x[0] ** 2 + 2 * x[1] ** 2, lambda x: x[1])
    assert sam(rule, rho=52**0.5) == {"f": 11.0, "k": 1.0}
    assert p.grad.tolist() == pytest.approx([18.0, 21.0], rel=1e-5)
    assert p.tolist() == [3.0, 1.0]  # bit by bit


def test_sam_with_radius_zero_is_bit_identical_to_plain_descent():
    assert torch.equal(run("sam(rho=0)")[0], run("plain")[0])
    assert not torch.equal(run("sam(rho=0.1)")[0], run("plain")[0])


def test_surgery_projects_conflicting_gradients_out_of_each_other():
    # g_f = (1, -1), g_k = (0, 2): dot -2; g_f → (1, 0); g_k → (0, 2) + (1, -1) = (1, 1)
    def losses(p):
        return descent(p, lambda x: x[0] - x[1], lambda x: 2 * x[1])

    p = point(0.0, 0.0)
    assert surgery(losses(p)) == {"f": 0.0, "k": 0.0}
    assert p.grad.tolist() == [2.0, 1.0]
    p = point(0.0, 0.0)
    surgery(losses(p), project="forget")
    assert p.grad.tolist() == [1.0, 2.0]


def test_surgery_leaves_gradients_that_agree():
    p = point(0.0, 0.0)
    surgery(descent(p, lambda x: x[0] + x[1], lambda x: 2 * x[1]))
    assert p.grad.tolist() == [1.0, 3.0]


@pytest.mark.parametrize("rule", [sam, surgery])
@pytest.mark.parametrize("sides", [(True, False), (False, True)])
def test_one_side_alone_is_descended_as_it_is(rule, sides):
    p = point(2.0, 0.0)
    square = lambda x: x[0] ** 2  # noqa: E731
    rule(descent(p, square if sides[0] else None, square if sides[1] else None))
    expected = 4.02 if rule is sam and sides[0] else 4.0
    assert p.grad.tolist() == pytest.approx([expected, 0.0], rel=1e-5)


def test_wrong_rules_say_what_to_do():
    with pytest.raises(UnknownName, match="'sam'"):
        run("sma")
    with pytest.raises(InputError, match="at least 0"):
        run("sam(rho=-1)")
