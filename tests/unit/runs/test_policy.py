import pytest

from forgetwell.errors import InputError, MissingError, UnknownName
from forgetwell.runs.policy import load_policy, parse_policy, policy_text

RULE = {"name": "clean", "measure": "utility/clean", "of": "loss", "at_most": 0.1}


def test_the_default_policy_covers_what_a_release_is_decided_on():
    policy = load_policy()
    measures = {rule.measure for rule in policy.rules}
    assert measures >= {"forget/clean", "utility/clean", "utility/gap", "scope", "leak", "scan/findings"}
    assert all(0 < rule.confidence < 1 for rule in policy.rules)


def test_a_printed_policy_reads_back_as_the_same(tmp_path):
    (tmp_path / "mine.toml").write_text(policy_text("default"))
    assert load_policy(tmp_path / "mine.toml").digest == load_policy().digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"at_mots": 0.1}, "'at_most'"),
        ({"measure": "utility"}, "'utility/clean'"),
        ({"of": "los"}, "'loss'"),
        ({"at_least": 0.1}, "one limit"),
        ({"at_most": None}, "number"),
        ({"at_most": "0.1"}, "number"),
        ({"at_most": True}, "number"),
        ({"at_most": float("nan")}, "number"),
        ({"confidence": 95}, "between 0 and 1"),
        ({"rows": 0}, "at least 1"),
        ({"name": 3}, "string"),
        ({"of": "after", "cumulative": 0.2}, "cumulative"),
        ({"measure": "scan/findings"}, "scan/findings"),
        ({"measure": "scan/findings", "of": "after", "optional": True}, "never optional"),
        ({"optional": 1}, "true or false"),
        ({"metric": "rouge_l_recal"}, "'rouge_l_recall'"),
        ({"metric": "choice_accuracy(bi=sum)"}, "'by'"),
        ({"metric": "rouge_l_recall("}, "rouge_l_recall("),
        ({"measure": "forget/servd"}, "'forget/served'"),
        ({"measure": "scan/finding", "of": "after", "optional": True}, "'scan/findings'"),
        ({"measure": "/"}, "Known"),
        ({"at_most": 45}, "from -1 to 1"),
        ({"cumulative": 45}, "cumulative is 45"),
        ({"at_most": 2.5, "measure": "utility/gap"}, "from -2 to 2"),
        ({"at_most": 15, "of": "after"}, "from 0 to 1"),
        ({"at_most": 0.5, "of": "after", "metric": "perplexity"}, "1 or more"),
        ({"at_most": -1, "of": "after", "measure": "scan/findings"}, "0 or more"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named_with_what_to_write(change, says):
    with pytest.raises((InputError, UnknownName)) as error:
        parse_policy({"rule": [RULE, {**RULE, "name": "second", **change}]}, "p.toml")
    assert "rule 2" in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "no rules"),
        ({"rule": []}, "no rules"),
        ({"rules": [RULE]}, "'rule'"),
        ({"rule": [RULE, RULE]}, "two rules"),
    ],
)
def test_a_policy_without_rules_or_with_an_unknown_key_is_refused(table, says):
    with pytest.raises((InputError, UnknownName), match=says):
        parse_policy(table, "p.toml")


def test_a_metric_is_called_as_evaluations_call_it():
    """They leave out what is the default; a rule that says it would find no such metric."""
    for said, kept in (("choice_accuracy(by=mean)", "choice_accuracy"), ("perplexity", "perplexity")):
        (rule,) = parse_policy({"rule": [{**RULE, "metric": said, "at_most": 0.9}]}, "p.toml").rules
        assert rule.metric == kept


def test_a_missing_limit_is_refused():
    rule = {k: v for k, v in RULE.items() if k != "at_most"}
    with pytest.raises(InputError, match="one limit"):
        parse_policy({"rule": [rule]}, "p.toml")


def test_files_that_are_not_there_or_no_toml(tmp_path):
    with pytest.raises(MissingError, match="--print-policy"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "p.toml").write_text("[[rule]\n")
    with pytest.raises(InputError, match="TOML"):
        load_policy(tmp_path / "p.toml")
    (tmp_path / "p.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match="UTF-8"):
        load_policy(tmp_path / "p.toml")
