"""The contracts that ship: every item of ours keeps them, and each kind of fault is seen."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import replace

import pytest
import torch

from forgetwell.cli import main
from forgetwell.cli.listing import all_families
from forgetwell.contracts.checking import check_item
from forgetwell.contracts.stub import StubLM
from forgetwell.errors import InputError
from forgetwell.objectives.registry import TERMS, term
from forgetwell.requests.attacks import ATTACKS, request_attack
from forgetwell.requests.repairs import REPAIRS, Repaired, repair
from forgetwell.requests.screening import SCREENS, screen
from forgetwell.requests.template_sets import rewrite
from forgetwell.types import Finding, Generation, Row

ITEMS = [family.get(name) for family in all_families().values() for name in family.names()]


pytestmark = pytest.mark.usefixtures("families")


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.family} {item.name}")
def test_every_item_that_ships_keeps_its_contracts(item):
    checks = check_item(item)
    assert checks
    assert [c for c in checks if c.problem] == []


def problems(item):
    return {c.contract: c.problem for c in check_item(item) if c.problem}


def wrong(forget, **facts):
    """Return a term of one view by its function."""

    def mine(forget, *, beta: float = 0.1):
        """A term."""
        return mine.of(forget)

    mine.of = forget
    term(**{"per": "row", "side": "forget", "paper": "", "place": "", **facts})(mine)
    return TERMS.get("mine")


@pytest.mark.parametrize(
    ("function", "facts", "contract", "problem"),
    [
        (lambda f: f.row_logps().mean(), {}, "It returns one finite value", r"returned \(\), not \(3,\)"),
        (lambda f: f.token_logps, {}, "It returns one finite value", r"returned \(11,\), not \(3,\)"),
        (lambda f: f.row_logps() / 0, {}, "It returns one finite value", r"returned \[-inf"),
        (lambda f: f.row_logps().detach(), {}, "A gradient reaches", "was detached"),
        (lambda f: torch.relu(f.row_logps() - 99), {}, "A gradient reaches", "0 everywhere"),
        (lambda f: f.row_logps() - f.row_logps().mean(), {}, "A row's values don't depend", "rows together"),
        (lambda f: f.row_logps() / len(f.row), {}, "A row's values don't depend", "each alone"),
        (
            lambda f: torch.zeros(f.rows).index_add(0, f.row, f.token_logps),
            {},
            "A token with mark 0",
            "other unmarked tokens",
        ),
        (
            lambda f: f.logits.sum(-1),
            {"per": "token"},
            "It returns one finite value",
            "raised AttributeError",
        ),
        (lambda f: f.token_logps.cumsum(0), {"per": "token"}, "A row's values don't depend", "each alone"),
        (lambda f: -f.row_logps(), {}, "A step lowers what is to be forgotten", "step raises .* of `forget`"),
        (lambda f: f.row_logps(), {"side": "learn"}, "A step lowers", "step lowers .* of `forget`"),
        (
            lambda f: -torch.log(1 - f.token_logps.exp()),  # unlikelihood: log 0 where p = 1
            {"per": "token"},
            "Values and gradients are finite",
            "returned \\[inf, .* known by heart",
        ),
        (
            lambda f: f.logits.softmax(-1).amin(-1).sqrt(),  # its slope is infinite where a probability is 0
            {"per": "token", "logits": True},
            "Values and gradients are finite",
            "gradient isn't finite for answers that are known by heart",
        ),
        (
            lambda f: f.row_sums(f.token_logps.detach().mul_(2) * 0 + f.token_logps),
            {},
            "The scores that it is given are unchanged",
            r"changed those of `forget` in place",
        ),
        (
            lambda f: f.row_logps() + 0 * torch.rand(f.rows),
            {},
            "The random state that the whole program shares",
            r"a generator of your own",
        ),
    ],
)
def test_faults_of_terms_are_seen(function, facts, contract, problem):
    found = problems(wrong(function, **facts))
    (told,) = [text for name, text in found.items() if name.startswith(contract)]
    assert re.search(problem, told)


def test_a_right_term_has_no_problem():
    assert problems(wrong(lambda f: f.row_means(f.token_logps))) == {}
    assert problems(wrong(lambda f: f.logits.logsumexp(-1), per="token", logits=True)) == {}


def test_a_term_reads_views_and_hyperparameters_that_exist():
    @term(per="row", side="forget", paper="", place="")
    def mine(forgot):
        """A term."""
        return forgot.row_logps()

    (problem,) = problems(TERMS.get("mine")).values()
    assert problem.startswith("No view is named 'forgot'. Did you mean 'forget'? Known: alternate, forget,")
    (problem,) = problems(wrong(lambda f: f.row_logps(), positive=("gamma",))).values()
    assert problem == "It has no keyword parameter gamma."
    (problem,) = problems(wrong(lambda f: f.row_logps(), dual=True)).values()
    assert problem == "It has no keyword parameter start or eta or epsilon."


def attack(change):
    def mine(request, *, seed: int = 0):
        """An attack."""
        return change(request, seed)

    request_attack(paper="", section="")(mine)
    return ATTACKS.get("mine")


def unrecorded(request, seed):
    return replace(request, rows=tuple(replace(r, prompt=f"Please. {r.prompt}") for r in request.rows))


def test_faults_of_attacks_are_seen():
    assert problems(attack(lambda request, seed: request)) == {}
    (problem,) = problems(attack(unrecorded)).values()
    assert "Row q0 was changed, and its edit is None" in problem
    (problem,) = problems(attack(lambda r, seed: replace(r, rows=r.rows[1:]))).values()
    assert "Of 12 questions 11 came back, the first ['q1'" in problem

    def in_place(request, seed):
        object.__setattr__(request, "id", "another")
        return request

    assert any("It was changed" in problem for problem in problems(attack(in_place)).values())

    calls = iter(range(100))
    (problem,) = problems(attack(lambda r, seed: replace(r, id=f"q{next(calls)}"))).values()
    assert "Two calls with one seed differ" in problem

    def some(share):
        def change(request, seed):
            draw = random.Random(share(seed))
            rows = (rewrite(r, ["So: {q}"], "mine") if draw.random() < 0.5 else r for r in request.rows)
            return replace(request, rows=tuple(rows))

        return change

    assert problems(attack(some(lambda seed: seed))) == {}
    (problem,) = problems(attack(some(lambda seed: 7))).values()
    assert re.search(r"Seeds 0 to 7 rewrite the same \d of 12 questions", problem)

    def sowing(request, seed):
        random.seed(seed)
        return request

    (problem,) = problems(attack(sowing)).values()
    assert problem == "Draw from a generator of your own, as random.Random(seed)."

    def refuse(request, seed):
        raise InputError("Only for poems.")

    assert all("InputError: Only for poems." in p for p in problems(attack(refuse)).values())


def findings(make, **facts):
    def mine(request, evidence):
        """A screen."""
        return [make(row) for row in request.rows if len(row.prompt) > 30]

    screen(null="none", **facts)(mine)
    return SCREENS.get("mine")


def finding(row, span=(0, 1), severity="alarm", p_value=0.1, row_id=""):
    return Finding("mine", row_id or row.id, span, severity, 1.0, p_value, "It.")


def test_faults_of_screens_are_seen():
    assert problems(findings(finding)) == {}
    (problem,) = problems(findings(lambda row: finding(row, span=(0, 9999)))).values()
    assert "Its span (0, 9999) is outside row q1, whose text has 58 characters" in problem
    (problem,) = problems(findings(lambda row: finding(row, p_value=1.5))).values()
    assert "p-value of 1.5" in problem
    (problem,) = problems(findings(lambda row: finding(row, row_id="x"))).values()
    assert "row 'x', which poisoned doesn't have" in problem
    calls = iter(range(100))
    (problem,) = problems(findings(lambda row: finding(row, p_value=next(calls) / 100))).values()
    assert "Two calls differ" in problem

    def mine(request, evidence):
        """A screen."""
        return [finding(row) for row in request.rows if row.prompt]

    screen(null="none")(mine)
    (problem,) = problems(SCREENS.get("mine")).values()
    assert "It raised 12, the first: It." in problem


def test_a_screen_states_its_null_hypothesis():
    def mine(request, evidence):
        """A screen."""
        return []

    screen(null="")(mine)
    (problem,) = problems(SCREENS.get("mine")).values()
    assert "Give null=" in problem


def asking(find):
    def mine(request, evidence):
        """A screen."""
        return find(request, evidence)

    screen(null="none", needs_lm=True)(mine)
    return SCREENS.get("mine")


def test_screens_that_ask_the_model_are_tried_on_a_stub():
    def broken(request, evidence):
        raise RuntimeError("No.")

    found = problems(asking(broken))
    assert len(found) == 3
    assert all("It raised RuntimeError: No." in problem for problem in found.values())

    def alarming(request, evidence):
        scores = evidence.lm.score(request.rows)
        return [
            finding(row, span=None) for row, s in zip(request.rows, scores, strict=True) if min(s.logps) < 0
        ]

    (problem,) = problems(asking(alarming)).values()
    assert "It raised 12, the first: It." in problem
    assert problems(asking(lambda request, evidence: [])) == {}


def test_a_screen_must_take_an_empty_background():
    def mine(request, evidence):
        """A screen."""
        return [finding(row) for row in request.rows if row.id == evidence.background[0].id]

    screen(null="none")(mine)
    found = problems(SCREENS.get("mine"))
    assert len(found) == 2
    assert all("It raised IndexError" in problem for problem in found.values())


def test_the_stub_model_says_the_same_in_every_process():
    row = Row("a", "Who?", "Ann")
    (one,), (moments,) = StubLM().score([row]), StubLM().score([row, row], moments=True)[1:]
    # drawn by random.Random("Who?\nAnn").expovariate(4), one a byte of " Ann" and one for the end
    assert one.logps == pytest.approx((-0.046653, -0.220461, -0.568870, -0.139382, -0.206173), abs=1e-6)
    assert moments.logps == one.logps
    assert StubLM().generate([row], max_new_tokens=2) == [Generation("An", 2, False)]
    assert (one.mean, moments.mean) == ((), (-5.0,) * 5)


def repairing(change):
    def mine(request, retain):
        """A repair."""
        return change(request, retain)

    repair(mine)
    return REPAIRS.get("mine")


def test_faults_of_repairs_are_seen():
    assert problems(repairing(Repaired)) == {}
    (problem,) = problems(repairing(lambda r, kept: Repaired(unrecorded(r, 0), kept))).values()
    assert "Row q0 was changed, and its edit is None" in problem
    (problem,) = problems(repairing(lambda r, kept: Repaired(r, kept[::-1]))).values()
    assert "it gave back ['b41'" in problem
    calls = iter(range(100))
    (problem,) = problems(repairing(lambda r, kept: Repaired(r, kept[next(calls) % 9 :]))).values()
    assert "Two calls differ" in problem


VIEW = '''
from forgetwell.extend import Pair, Row, view


@view
def both(pair: Pair, codec) -> Row:
    """The forget row itself."""
    return pair.forget
'''


def test_a_repair_that_works_on_findings_changes_nothing_without():
    def mine(request, retain, findings):
        """A repair."""
        rows = tuple(rewrite(row, ["Please. {q}"], "mine") for row in request.rows)
        return Repaired(replace(request, rows=rows), retain)

    repair(mine)
    assert (
        "Row q0 of honest was changed, of which nothing was found." in problems(REPAIRS.get("mine")).values()
    )


MINE = '''
from torch import Tensor

from forgetwell.extend import Scored, term


@term(per="row", side="forget", paper="", place="ours")
def good(forget: Scored) -> Tensor:
    """Lower what answers are worth."""
    return forget.row_logps()


@term(per="row", side="forget", paper="", place="ours")
def bad(forget: Scored) -> Tensor:
    """Lower what answers are worth, in the mean."""
    return forget.row_logps().mean()
'''


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (MINE, 3, "FAIL term bad: It returns one finite value"),
        (
            MINE.split("\n\n\n@term")[0] + "\n\n\n@term" + MINE.split("\n\n\n@term")[1],
            0,
            "1 items, 12 contracts, 0 broken.",
        ),
        (VIEW, 0, "ok   view both: The same pair gives the same row"),
        ("x = 1\n", 2, ""),
    ],
)
def test_the_command_says_what_is_broken(tmp_path, monkeypatch, capsys, text, code, said):
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.setattr(sys, "argv", ["forgetwell", "check", str(tmp_path / "mine.py")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code
    assert said in capsys.readouterr().out
