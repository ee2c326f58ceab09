"""Terms against cases worked out by hand and independent derivations in float64."""

import math

import pytest
import torch

from forgetwell.models.scored import Scored
from forgetwell.objectives.ascent import ga, satimp, wga
from forgetwell.objectives.preference import altpo, dpo, flat, tpo
from forgetwell.objectives.representation import rmu, rmu_retain
from forgetwell.objectives.retain import ap, klr, pdu_retain
from forgetwell.objectives.scope import su_kl
from forgetwell.objectives.targets import ceu, me, pdu, undial

ROW = torch.tensor([0, 0, 1])


def scored(*logps, row=ROW, mark=None):
    return Scored(2, row, torch.zeros(len(row), dtype=torch.long), None, torch.tensor(logps), mark)


def from_logits(logits, labels, row=ROW, rows=2, mark=None):
    """Score in float64 by plain softmax arithmetic, so that no function of ours is used."""
    logits, labels = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)
    p = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return Scored(rows, row, labels, logits, p[range(len(labels)), labels].log(), mark)


POLICY, REF = scored(-1.0, -2.0, -0.5), scored(-0.5, -0.5, -1.5)
LOGITS = [[0.0, 1.0, 2.0], [3.0, 0.0, -1.0], [0.5, 0.5, 0.5]]
LABELS = [2, 1, 0]


def test_wga_weighs_by_probability():
    # β = 1: e^-1 · -1, e^-2 · -2, e^-½ · -½
    assert wga(POLICY).tolist() == pytest.approx([-math.exp(-1), -2 * math.exp(-2), -0.5 * math.exp(-0.5)])
    assert torch.equal(wga(POLICY, beta=0.0), ga(POLICY))


def test_satimp_weighs_by_saturation_and_importance():
    p = [math.exp(x) for x in (-1.0, -2.0, -0.5)]
    expected = [q**5 * (1 - q) * math.log(q) for q in p]
    assert satimp(POLICY).tolist() == pytest.approx(expected)
    assert satimp(POLICY, beta1=1.0, beta2=0.0).tolist() == pytest.approx(wga(POLICY).tolist())


@pytest.mark.parametrize("term", [wga, satimp])
def test_weights_of_the_weighted_ascents_have_no_gradient(term):
    leaf = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    values = term(Scored(2, ROW, POLICY.labels, None, leaf))
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    torch.testing.assert_close(gradient, (values / leaf).detach())  # the weight itself


def test_flat_total_variation():
    # refusal: means of e^-1, e^-2 and e^-½; forget: of e^-½, e^-½ and e^-1.5
    wanted, unwanted = (math.exp(-1) + math.exp(-2)) / 2, math.exp(-0.5)
    first = (math.tanh(unwanted) - math.tanh(wanted)) / 2
    assert flat(POLICY, REF)[0].item() == pytest.approx(first)


@pytest.mark.parametrize(
    ("divergence", "g", "conjugate"),
    [
        ("kl", lambda v: v, lambda u: math.exp(u - 1)),
        ("pearson", lambda v: v, lambda u: u * u / 4 + u),
        ("jensen_shannon", lambda v: math.log(2 / (1 + math.exp(-v))), lambda u: -math.log(2 - math.exp(u))),
        ("total_variation", lambda v: math.tanh(v) / 2, lambda u: u),
    ],
)
def test_flat_is_the_variational_form_of_each_divergence(divergence, g, conjugate):
    wanted, unwanted = math.exp(-0.5), math.exp(-1.5)  # the second rows, of one token
    expected = conjugate(g(unwanted)) - g(wanted)
    assert flat(POLICY, REF, divergence=divergence)[1].item() == pytest.approx(expected, abs=1e-6)


def test_altpo_is_dpo_with_an_alternative_in_the_refusals_place():
    assert torch.equal(altpo(POLICY, REF, REF, POLICY), dpo(POLICY, REF, REF, POLICY))


def test_tpo_lowers_logits_of_the_focus_and_keeps_the_rest_of_the_answer():
    # logits of the labels: 2, 0, ½; of the starting model: 3, 1, 2½. Row 0 is marked at its second token.
    teacher = [[0.0, 0.0, 3.0], [0.0, 1.0, 0.0], [2.5, 9.0, 9.0]]
    mark = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    policy, start = from_logits(LOGITS, LABELS, mark=mark), from_logits(teacher, LABELS, mark=mark)
    soft = [2 * math.log(1 + math.exp(-1)), 2 * math.log(1 + math.exp(-2))]  # -2 log σ(1), -2 log σ(2)
    kept = math.log(1 + math.exp(1) + math.exp(2)) - 2  # -log p of the unmarked token
    assert tpo(policy, start, beta=1.0).tolist() == pytest.approx([soft[0] + kept, soft[1]])
    assert tpo(policy, start, beta=1.0, general=0.0).tolist() == pytest.approx(soft)


def test_tpo_without_a_focus_unlearns_whole_answers_as_a_mean():
    teacher = [[0.0, 0.0, 5.0], [0.0, 1.0, 0.0], [0.5, 9.0, 9.0]]  # falls of 3 and 1, mean 2; of 0
    values = tpo(from_logits(LOGITS, LABELS), from_logits(teacher, LABELS), beta=0.5).tolist()
    assert values == pytest.approx([4 * math.log(1 + math.exp(-1)), 4 * math.log(2)])


def test_su_kl_by_hand_and_in_float64():
    # starting model (½, ½), policy (¾, ¼): ½ log(½/¾) + ½ log(½/¼)
    one = torch.tensor([0])
    policy, start = (from_logits([[math.log(x), 0.0]], [0], one, 1) for x in (3.0, 1.0))
    assert su_kl(policy, start).item() == pytest.approx(0.5 * math.log(4 / 3))
    teacher, expected = [[1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [1.0, 1.0, 0.0]], []
    for s, t in zip(LOGITS, teacher, strict=True):
        q, p = ([math.exp(x) / sum(math.exp(y) for y in z) for x in z] for z in (t, s))
        expected.append(sum(a * math.log(a / b) for a, b in zip(q, p, strict=True)))
    policy, start = from_logits(LOGITS, LABELS), from_logits(teacher, LABELS)
    assert su_kl(policy, start).tolist() == pytest.approx(expected)
    assert torch.equal(su_kl(policy, start), klr(policy, start))


def test_su_kl_counts_a_token_that_the_starting_model_was_not_asked_for_as_nothing():
    # row 0 has two tokens beside a forget text, and alone its second only
    policy = from_logits(LOGITS, LABELS)
    start = from_logits(LOGITS[1:], LABELS[1:], torch.tensor([0, 1]))
    assert su_kl(policy, start).tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    other = from_logits([[0.0, 0.0, 0.0], LOGITS[2]], LABELS[1:], torch.tensor([0, 1]))
    assert [v > 0.1 for v in su_kl(policy, other).tolist()] == [False, True, False]


def test_su_kl_leaves_out_a_token_that_only_the_starting_model_was_asked_for():
    # row 0 has two tokens alone, a blank first, and one beside a forget text; row 1 the other way round
    policy = from_logits([LOGITS[1], LOGITS[0], LOGITS[2]], LABELS, torch.tensor([0, 1, 1]))
    start = from_logits([[9.0, 0.0, 0.0], LOGITS[1], LOGITS[2]], LABELS)
    assert su_kl(policy, start).tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    other = from_logits([[9.0, 0.0, 0.0], [0.0, 3.0, 0.0], LOGITS[2]], LABELS)
    assert [v > 0.1 for v in su_kl(policy, other).tolist()] == [True, False, False]


def test_ap():
    # answers: -3, -.5; refusals: -1, -1.5; β = 1: -log σ(-2), -log σ(1)
    expected = [math.log(1 + math.exp(2)), math.log(1 + math.exp(-1))]
    assert ap(POLICY, REF, beta=1.0).tolist() == pytest.approx(expected)


def test_undial_by_hand():
    # teacher (0, 0), label 1 lowered by log 3: q = (¾, ¼); student (½, ½): log 2
    student = from_logits([[0.0, 0.0]], [1], torch.tensor([0]), 1)
    assert undial(student, student, beta=math.log(3)).tolist() == pytest.approx([math.log(2)])


def test_undial_in_float64_and_lowers_the_label_alone():
    teacher = [[1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [1.0, 1.0, 0.0]]
    expected = []
    for s, t, y in zip(LOGITS, teacher, LABELS, strict=True):
        q = [math.exp(x - 10 * (v == y)) for v, x in enumerate(t)]
        z = sum(math.exp(x) for x in s)
        expected.append(-sum(a / sum(q) * math.log(math.exp(x) / z) for a, x in zip(q, s, strict=True)))
    values = undial(from_logits(LOGITS, LABELS), from_logits(teacher, LABELS))
    assert values.tolist() == pytest.approx(expected)


def test_ceu_skips_the_first_token_and_rules_out_the_label():
    # row 0: its second token alone, label 1 ruled out of (3, 0, -1); row 1 has one token: 0
    q0 = math.exp(3) / (math.exp(3) + math.exp(-1))
    z = math.exp(3) + 1 + math.exp(-1)
    expected = -(q0 * (3 - math.log(z)) + (1 - q0) * (-1 - math.log(z)))
    assert ceu(from_logits(LOGITS, LABELS)).tolist() == pytest.approx([expected, 0.0])
    assert ceu(from_logits(LOGITS, LABELS), skip=0)[1].item() == pytest.approx(math.log(3))


def test_ceu_target_has_no_gradient():
    leaf = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    one = Scored(1, torch.tensor([0]), torch.tensor([2]), leaf, leaf.log_softmax(-1)[:, 2])
    (gradient,) = torch.autograd.grad(ceu(one, skip=0).sum(), leaf)
    q = torch.tensor([[1 / (1 + math.e), math.e / (1 + math.e), 0.0]])
    torch.testing.assert_close(gradient, leaf.softmax(-1).detach() - q)  # of cross-entropy: p - q


def test_me_is_the_divergence_from_uniform():
    values = me(from_logits(LOGITS, LABELS)).tolist()
    for logits, value in zip(LOGITS, values, strict=True):
        z = sum(math.exp(x) for x in logits)
        expected = sum((math.log(1 / 3) - math.log(math.exp(x) / z)) / 3 for x in logits)
        assert value == pytest.approx(expected, abs=1e-9)
    assert values[2] == pytest.approx(0, abs=1e-9)


def test_pdu_is_the_squared_margin_at_the_tokens_that_predict_the_answer():
    # (2 - 1)², (3 - 2/3)², 0
    assert pdu(from_logits(LOGITS, LABELS)).tolist() == pytest.approx([1.0, (7 / 3) ** 2, 0.0])
    assert pdu_retain(POLICY).tolist() == [1.0, 2.0, 0.5]


def hidden(values):
    return Scored(2, ROW, POLICY.labels, None, POLICY.token_logps, hidden=torch.tensor(values))


def test_rmu_is_a_mean_over_each_rows_tokens():
    # open-unlearning's b × b broadcast would mix the lengths 2 and 1
    stream = torch.Generator().manual_seed(3)
    u = torch.rand(2, generator=stream)
    target = [20 * x / math.hypot(*u.tolist()) for x in u.tolist()]
    states = [[1.0, 2.0], [0.0, -1.0], [5.0, 5.0]]
    square = [sum((h - t) ** 2 for h, t in zip(s, target, strict=True)) / 2 for s in states]
    expected = [(square[0] + square[1]) / 2, square[2]]
    assert rmu(hidden(states), c=20, seed=3).tolist() == pytest.approx(expected, rel=1e-5)
    assert not torch.equal(rmu(hidden(states), seed=3), rmu(hidden(states), seed=4))


def test_rmu_retain():
    # squared distances 1+4, 0, 9 over D = 2; row 0 has two tokens
    a, b = hidden([[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]]), hidden([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert rmu_retain(a, b).tolist() == [1.25, 4.5]


def test_marks_weigh_tokens_in_sums_means_and_lengths():
    marked = scored(-1.0, -2.0, -0.5, mark=torch.tensor([0.0, 1.0, 0.0]))
    assert marked.row_logps().tolist() == [-2.0, 0.0]
    assert marked.lengths().tolist() == [1.0, 0.0]
    assert marked.row_means(marked.token_logps).tolist() == [-2.0, 0.0]
