from pathlib import Path

import pytest

from forgetwell.errors import InputError, MissingError
from forgetwell.experiments.plan import PLANS, cells, read_plan
from forgetwell.methods.finetune import Lora
from forgetwell.training.config import TrainConfig

PLAN = """
about = "toy"
hours = 0.5
bench = "world"
seeds = [0, 7]
per_set = 3
[train]
lr = 3e-5
epochs = 2
[lora]
rank = 4
[grid]
loss = ["npo", "ga"]
eta = [0, 5]
[conditions.plain]
objective = "{loss} + gdr"
[conditions.defended]
attack = "stealthy(p=0.33)"
objective = "{loss} + gdr + {eta}*su"
"""


def written(tmp_path, text):
    path = tmp_path / "toy.toml"
    path.write_text(text)
    return str(path)


def test_a_plan_is_the_product_of_grid_conditions_and_seeds(tmp_path):
    plan = read_plan(written(tmp_path, PLAN))
    assert (plan.name, plan.about, plan.hours) == ("toy", "toy", 0.5)
    assert [c.name for c in plan.comparisons] == [
        "loss=npo eta=0", "loss=npo eta=5", "loss=ga eta=0", "loss=ga eta=5"
    ]  # fmt: skip
    last = plan.comparisons[-1]
    assert [(r.condition, r.seed, r.attack, r.objective) for r in last.runs] == [
        ("plain", 0, "", "ga + gdr"),
        ("defended", 0, "stealthy(p=0.33)", "ga + gdr + 5*su"),
        ("plain", 7, "", "ga + gdr"),
        ("defended", 7, "stealthy(p=0.33)", "ga + gdr + 5*su"),
    ]
    assert last.setup.config == TrainConfig(lr=3e-5, epochs=2)
    assert (last.setup.lora, last.setup.per_set) == (Lora(rank=4), 3)
    assert plan.comparisons[0].runs[1].objective == "npo + gdr"  # a weight of 0 removes the term
    assert len(cells(plan)) == 16


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seeds =", "seed =", "seeds"),
        ("lr = 3e-5", "learning_rate = 3e-5", "lr"),
        ("rank = 4", "ranks = 4", "rank"),
        ("{loss} + gdr", "{los} + gdr", "loss"),
        ("+ gdr", "+ gdrr", "gdr"),
        ('"stealthy(p=0.33)"', '"stealthi"', "stealthy"),
        ("attack =", "atack =", "attack"),
        ('bench = "world"', 'bench = "wurld"', "world"),
        ("eta = [0, 5]", "eta = 5", "expected a list"),
        ("[0, 7]", "[0.5]", "whole numbers"),
        ("[0, 7]", "[0, 7, 0]", "seeds has 0 twice; give each value once"),
        ('["npo", "ga"]', '["npo", "ga", "npo"]', "grid.loss has npo twice"),
        ("eta = [0, 5]", 'eta = [0, 5, "5"]', "grid.eta has 5 twice"),
        (
            "eta = [0, 5]",
            "eta = [0, 5]\nlr = [1e-5, 1e-4]",
            r"grid.lr is named nowhere, .* write {lr} in quotes",
        ),
        ("[conditions.plain]", "[conditions.'a/b']", r"\[conditions.'a/b'\]: folders are called after"),
        ("[conditions.plain]", "[conditions.'..']", "write letters, digits"),
        ("lr = 3e-5", 'lr = "{loss}"', "train.lr is 'npo'; expected a number"),
        (
            'objective = "{loss} + gdr"',
            'method = "task_vector"',
            r"\[conditions.plain\] has a method, which trains all weights, and the plan has \[lora\]",
        ),
        ("epochs = 2", "epochs = 0", "above 0"),
        ('about = "toy"', "about = ", "toy.toml"),
        ('about = "toy"', "about = 3", "about is 3; expected text"),
        ("hours = 0.5", 'hours = "x"', "hours is 'x'; expected a number"),
        ("hours = 0.5", "hours = true", "hours is True; expected a number"),
        ("hours = 0.5", "hours = inf", "hours is inf; expected a number"),
        ('bench = "world"', "", "needs a bench, as bench = 'world'; there are .*, world"),
        ('bench = "world"', "bench = 3", "bench is 3; expected text"),
        ('bench = "world"', 'bench = "world"\nmodel = 3', "model is 3; expected text"),
        ("per_set = 3", 'per_set = "2"', "per_set is '2'; expected a whole number"),
        ("per_set = 3", "per_set = 0", "per_set is 0; it must be at least 1"),
        ("per_set = 3", 'floor = "low"', "floor is 'low'; expected a number"),
        ("per_set = 3", "floor = -1", "floor is -1; it is a share of what is to be forgotten"),
        ("per_set = 3", "utility_below = 40", "utility_below is 40; it is a share"),
        ("per_set = 3", "metric = 3", "metric is 3; expected text"),
        ("lr = 3e-5", 'lr = "1e-4"', "train.lr is '1e-4'; expected a number"),
        ("lr = 3e-5", 'max_steps = "4"', "train.max_steps is '4'; expected a whole number"),
        ("lr = 3e-5", "max_steps = 4.5", "train.max_steps is 4.5; expected a whole number"),
        ("lr = 3e-5", "checkpointing = 1", "train.checkpointing is 1; expected true or false"),
        ("lr = 3e-5", 'schedule = "steep"', "schedule is 'steep'; choose linear or constant"),
        ("lr = 3e-5", 'step_rule = "sma"', "No step rule is named 'sma'"),
        ("lr = 3e-5", "batch = 0", "batch is 0; it must be above 0"),
        ("lr = 3e-5", "seed = 3", "seed = 3; a plan says that by seeds"),
        ("lr = 3e-5", 'stop_at = "x<=1"', "a plan says that by floor"),
        ("rank = 4", 'targets = "q_proj"', "lora.targets is 'q_proj'; expected a list of texts"),
        (
            "[train]\nlr = 3e-5\nepochs = 2",
            "train = 3",
            "train is 3; expected a table, as \\[train\\] with lr",
        ),
        ('[grid]\nloss = ["npo", "ga"]\neta = [0, 5]', "[grids]", "No key of a plan is named 'grids'"),
        ('objective = "{loss} + gdr"', "objective = 3", "conditions.plain.objective is 3; expected text"),
    ],
)
def test_mistakes_are_found_before_anything_runs(tmp_path, old, new, says):
    assert old in PLAN
    with pytest.raises(InputError, match=says):
        read_plan(written(tmp_path, PLAN.replace(old, new)))


def test_a_grid_is_a_table(tmp_path):
    text = 'bench = "world"\ngrid = 3\n[conditions.plain]\nobjective = "npo + gdr"\n'
    with pytest.raises(InputError, match="grid is 3; expected a table"):
        read_plan(written(tmp_path, text))


def test_paths_among_the_values_make_no_folders(tmp_path):
    text = PLAN.replace('bench = "world"', "bench = \"files(request='{data}', retain=['r'], utility=['u'])\"")
    grid = 'data = ["a/../f.jsonl", "hub:owner/name"]\nloss = ["npo"]\neta = [1]'
    text = text.replace('loss = ["npo", "ga"]\neta = [0, 5]', grid)
    found = read_plan(written(tmp_path, text)).comparisons
    assert [c.name for c in found] == [
        "data=a-..-f.jsonl loss=npo eta=1", "data=hub:owner-name loss=npo eta=1"
    ]  # fmt: skip
    assert "request='a/../f.jsonl'" in found[0].bench
    with pytest.raises(InputError, match=r"The grid has data=hub:owner-name loss=npo eta=1 twice"):
        read_plan(written(tmp_path, text.replace("a/../f.jsonl", "hub:owner-name")))


def test_training_and_adapters_take_values_of_the_grid_with_their_type(tmp_path):
    text = PLAN.replace("lr = 3e-5", 'lr = "{lr}"\nstep_rule = "sam(rho={lr})"')
    text = text.replace("rank = 4", 'rank = "{eta}"').replace("eta = [0, 5]", "eta = [1, 5]\nlr = [1e-5, 2]")
    setups = {c.name: c.setup for c in read_plan(written(tmp_path, text)).comparisons}
    assert [s.config.lr for s in setups.values()] == [1e-5, 2] * 4
    found = setups["loss=npo eta=5 lr=1e-05"]
    assert (found.config.step_rule, found.lora) == ("sam(rho=1e-05)", Lora(rank=5))


def test_whole_numbers_are_numbers_and_lists_are_read(tmp_path):
    text = PLAN.replace("lr = 3e-5", "clip = 2").replace("rank = 4", 'targets = ["q_proj", "v_proj"]')
    setup = read_plan(written(tmp_path, text)).comparisons[0].setup
    assert (setup.config.clip, setup.lora) == (2, Lora(targets=("q_proj", "v_proj")))


def test_a_condition_may_be_a_method_and_go_on_afterwards(tmp_path):
    text = PLAN.replace('objective = "{loss} + gdr"', 'method = "task_vector(alpha={eta})"\nthen = "gdr"')
    text = text.replace("[lora]\nrank = 4\n", "")  # methods train all weights
    run = read_plan(written(tmp_path, text)).comparisons[1].runs[0]
    assert (run.objective, run.method, run.then) == ("", "task_vector(alpha=5)", "gdr")
    with pytest.raises(InputError, match="task_vector"):
        read_plan(written(tmp_path, text.replace("task_vector(", "task_vectr(")))
    with pytest.raises(InputError, match="or a method"):
        read_plan(written(tmp_path, text.replace("method =", 'objective = "gdr"\nmethod =')))


def test_a_condition_may_ask_about_others(tmp_path):
    text = PLAN.replace("[conditions.plain]", "[conditions.plain]\ncounterfactuals = 2")
    runs = read_plan(written(tmp_path, text)).comparisons[0].runs
    assert [run.counterfactuals for run in runs[:2]] == [2, 0]
    assert runs[0].steps == "each question about 2 others, npo + gdr"
    for given in ("-1", "true", "'two'", "1.5"):
        with pytest.raises(InputError, match="expected a number, as 4"):
            read_plan(written(tmp_path, text.replace("counterfactuals = 2", f"counterfactuals = {given}")))


def test_a_condition_may_screen_and_repair_first(tmp_path):
    text = PLAN.replace("per_set = 3", 'per_set = 3\ntrigger = "synonyms(p=0.{eta})"').replace(
        "[conditions.plain]",
        '[conditions.plain]\nrepairs = ["drop", "bare"]\nscreens = ["high_loss(share=0.{eta})"]',
    )
    comparison = read_plan(written(tmp_path, text)).comparisons[1]
    assert comparison.setup.trigger == "synonyms(p=0.5)"
    assert [(r.repairs, r.screens) for r in comparison.runs[:2]] == [
        (("drop", "bare"), ("high_loss(share=0.5)",)),
        ((), ()),
    ]
    assert comparison.runs[0].steps == "drop of high_loss(share=0.5), then bare, then npo + gdr"
    for old, new, says in [
        ('"drop"', '"dropp"', "repair is named 'dropp'"),
        ('["drop", "bare"]', '"drop"', r"repairs = 'drop'; expected a list, as \['strip', 'bare'\]"),
        ('repairs = ["drop", "bare"]\n', "", "names screens and no repair"),
        ("high_loss(", "high_los(", "screen is named 'high_los'"),
        ('["high_loss(share=0.{eta})"]', '"high_loss"', "expected a list"),
        ("synonyms", "synonyme", "request attack is named 'synonyme'"),
    ]:
        with pytest.raises(InputError, match=says):
            read_plan(written(tmp_path, text.replace(old, new)))


def test_recall_may_be_read_by_another_metric_of_answers(tmp_path):
    text = PLAN.replace("per_set = 3", 'per_set = 3\nmetric = "fact_recall"')
    assert read_plan(written(tmp_path, text)).comparisons[0].setup.left == "forget.fact_recall"
    with pytest.raises(InputError, match="expected a metric of answers"):
        read_plan(written(tmp_path, text.replace("fact_recall", "answer_prob")))
    with pytest.raises(InputError, match="'fact_recal'"):
        read_plan(written(tmp_path, text.replace("fact_recall", "fact_recal")))


def test_a_plan_needs_conditions(tmp_path):
    with pytest.raises(InputError, match="needs conditions"):
        read_plan(written(tmp_path, 'bench = "world"'))
    with pytest.raises(MissingError, match="claims-world"):
        read_plan("nowhere")


EXAMPLES = Path(__file__).parents[3] / "examples" / "plans"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_papers_plans_are_plans(path):
    plan = read_plan(str(path))
    assert plan.about
    for comparison in plan.comparisons:
        assert len({r.seed for r in comparison.runs}) >= 3
    if path.parent.name == "cpu":
        seeds = {r.seed for c in plan.comparisons for r in c.runs}
        # These two are no tables of the paper; their runs read utility where they stop alone.
        ours = path.stem in ("end-to-end", "risk")
        assert not ours or all(c.setup.utility_below == c.setup.floor for c in plan.comparisons)
        assert len(cells(plan)) <= (25 if ours else 9) * len(seeds)


@pytest.mark.parametrize("name", sorted(p.stem for p in PLANS.glob("*.toml")))
def test_plans_that_ship_are_plans_with_controls(name):
    plan = read_plan(name)
    for comparison in plan.comparisons:
        made = {r.condition: (bool(r.attack), r.objective) for r in comparison.runs}
        loss = made["plain"][1].removesuffix(" + gdr")
        eta = 5 if name == "claims-tofu" else 2  # the control has this weight and gdr's own
        assert made == {
            "plain": (False, f"{loss} + gdr"),
            "attacked": (True, f"{loss} + gdr"),
            "defended": (True, f"{loss} + gdr + {eta}*su"),
            "control": (True, f"{loss} + {eta + 1}*gdr"),
            "plain_su": (False, f"{loss} + gdr + {eta}*su"),
        }
