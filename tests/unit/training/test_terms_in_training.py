"""What terms declare beside their loss: trained matrices, dual variables, marks, alternatives, layers."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tests.tiny import tiny_lm
from torch import nn

from forgetwell.data.columns import to_row
from forgetwell.data.reading import read_rows
from forgetwell.data.row_files import write_rows
from forgetwell.errors import InputError
from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.models.hidden import reading_layers, recomputing_layers
from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, train
from forgetwell.training.reference import make_reference
from forgetwell.training.step import count, make_views, term_values, view_keys
from forgetwell.training.terms import only_updated
from forgetwell.types import Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}", wrong=("A cook", "A dog")) for i in range(6))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(7))
DRAWS = Draws(FORGET, RETAIN, ("No idea.",), batch=4, seed=0)
CONFIG = TrainConfig(lr=1e-3, epochs=3)
RMU = "rmu(layer=1, update=[0, 1]) + 100*rmu_retain(layer=1)"


def run(objective, config=CONFIG, draws=DRAWS, hooks=None, lm=None, resume=False):
    lm, log = lm or tiny_lm(), []
    train(lm, parse_objective(objective), draws, config, hooks or Hooks(log=log.append), resume=resume)
    return lm, log


def named(lm):
    return {n: p.detach().clone() for n, p in lm.module.named_parameters()}


class TestUpdatedMatrices:
    def test_rmu_trains_the_mlp_outputs_alone_and_leaves_everything_trainable(self):
        before = named(tiny_lm())
        lm, _ = run(RMU + " + su")
        moved = {n for n, p in named(lm).items() if not torch.equal(p, before[n])}
        assert moved == {f"network.model.layers.{k}.mlp.down_proj.weight" for k in (0, 1)}
        assert all(p.requires_grad for p in lm.module.parameters())

    def test_no_other_gradient_is_computed_or_kept(self):
        lm = tiny_lm()
        objective = parse_objective(RMU)
        views = make_views(view_keys(objective), DRAWS.pairs(0), lm.codec)
        rows = [r for v in views.values() for r in v.rows]
        with only_updated(lm, objective):
            reference = make_reference(lm, rows, logits=False, layers=(1,))
            shares = term_values(lm, lm.module, objective, views, count(views), reference)
            sum(shares.values()).backward()
            assert all((p.grad is None) == ("down_proj" not in n) for n, p in lm.module.named_parameters())

    def test_update_of_nothing_means_everything(self):
        before = named(tiny_lm())
        lm, _ = run("rmu(layer=1, update=[])")
        assert not torch.equal(
            named(lm)["network.model.embed_tokens.weight"], before["network.model.embed_tokens.weight"]
        )

    def test_with_adapters_only_those_on_the_matrices(self):
        lm = with_lora(tiny_lm(), Lora(rank=2, alpha=4), seed=0)
        before = named(lm)
        run(RMU, lm=lm)
        moved = {n for n, p in named(lm).items() if not torch.equal(p, before[n])}
        assert moved
        assert all("down_proj.lora" in n for n in moved)

    @pytest.mark.parametrize(
        "objective", ["rmu(layer=1)", "rmu(layer=2, update=[1])", "rmu(layer=-1, update=[])"]
    )
    def test_layers_that_are_not_there_are_named(self, objective):
        with pytest.raises(InputError, match=r"update=|layers 0 to 1"):
            run(objective)

    @pytest.mark.parametrize(
        ("name", "trained"),
        [
            ("model.layers.1.mlp.experts.down_proj", True),  # Mixtral
            ("model.layers.1.mlp.shared_expert.down_proj.weight", True),  # Qwen's mixtures
            ("transformer.blocks.1.ffn.down_proj.weight", True),  # MPT
            ("transformer.h.1.mlp.fc_out.weight", True),  # GPT-J, CodeGen
            ("transformer.h.1.mlp.dense_4h_to_h.weight", True),  # Falcon, BLOOM
            ("transformer.h.1.mlp.c_proj.weight", True),  # GPT-2
            ("model.decoder.layers.1.fc2.weight", True),  # OPT
            ("transformer.h.1.attn.c_proj.weight", False),
            ("transformer.h.1.mlp.fc_in.weight", False),
            ("transformer.h.11.mlp.fc_out.weight", False),
            ("model.layers.1.mlp.gate.weight", False),
        ],
    )
    def test_mlp_outputs_are_known_by_the_names_that_models_give_them(self, name, trained):
        parameter = nn.Parameter(torch.zeros(1))
        other = nn.Parameter(torch.zeros(1))
        given = [(name, parameter), ("model.layers.1.mlp.down_proj.weight", other)]
        lm = SimpleNamespace(module=SimpleNamespace(named_parameters=lambda: given))
        with only_updated(lm, parse_objective(RMU.replace("[0, 1]", "[1]"))):
            assert parameter.requires_grad is trained
        assert parameter.requires_grad

    def test_where_no_matrix_is_known_the_message_names_what_there_is(self):
        given = [("h.1.block.w9", nn.Parameter(torch.zeros(1)))]
        lm = SimpleNamespace(module=SimpleNamespace(named_parameters=lambda: given))
        with pytest.raises(InputError, match=r"Layer 0 has: none"), only_updated(lm, parse_objective(RMU)):
            pass
        only = parse_objective("rmu(layer=1, update=[1])")
        with pytest.raises(InputError, match=r"Layer 1 has: h\.1\.block\.w9\."), only_updated(lm, only):
            pass


class TestDuals:
    OBJECTIVE = "pdu + pdu_retain(epsilon=5.5, eta=0.5, start=2)"

    def test_they_follow_the_constraint_and_never_fall_below_zero(self):
        _, log = run(self.OBJECTIVE)
        label = "pdu_retain(epsilon=5.5, eta=0.5, start=2)"
        duals = [r["duals"][label] for r in log]
        assert duals[0] == 2
        for before, after, record in zip(duals, duals[1:], log, strict=False):
            assert after == pytest.approx(max(0, before + 0.5 * (record["terms"][label] - 5.5)))
        assert log[1]["loss"] == pytest.approx(
            log[1]["terms"]["pdu"] + duals[1] * log[1]["terms"][label], rel=1e-6
        )
        _, log = run("pdu_retain(epsilon=100)")
        assert [r["duals"]["pdu_retain(epsilon=100)"] for r in log[1:]] == [0.0] * 5

    def test_they_are_resumed_and_do_not_depend_on_accumulation(self, tmp_path):
        whole, log = run(self.OBJECTIVE)
        _, parts = run(self.OBJECTIVE, replace(CONFIG, accumulate=4))
        assert [v for r in parts for v in r["duals"].values()] == pytest.approx(
            [v for r in log for v in r["duals"].values()], abs=1e-4
        )
        hooks = Hooks(checkpoint=tmp_path / "state.pt", key="k")

        def stop(done, steps):
            if done == 4:
                raise KeyboardInterrupt

        config = replace(CONFIG, checkpoint_every=3)
        with pytest.raises(KeyboardInterrupt):
            run(self.OBJECTIVE, config, hooks=replace(hooks, progress=stop))
        resumed, _ = run(self.OBJECTIVE, config, hooks=hooks, resume=True)
        assert all(torch.equal(p, named(whole)[n]) for n, p in named(resumed).items())

    def test_other_objectives_have_none(self):
        assert "duals" not in run("npo + gdr")[1][0]


class TestMarks:
    def test_tokens_of_the_focus_alone_are_marked(self):
        codec = tiny_lm().codec
        encoded = codec.encode(Row("a", "Who?", "A spy, a spy", focus=("spy",)))
        text = [
            codec.decode([t]) for t, m in zip(encoded.ids[encoded.start :], encoded.marks, strict=True) if m
        ]
        assert "".join(text) == "spyspy"
        assert codec.encode(Row("a", "Who?", "A spy")).marks == ()

    def test_models_without_a_template_and_plain_text(self):
        codec = tiny_lm(chat=False).codec
        for row in (
            Row("a", "Who?", "A spy", focus=("spy",)),
            Row("b", "", "A spy", text=True, focus=("spy",)),
        ):
            encoded = codec.encode(row)
            scored = encoded.ids[encoded.start :]
            assert [codec.decode([t]) for t, m in zip(scored, encoded.marks, strict=True) if m] == list("spy")

    def test_unmarked_tokens_have_no_gradient_and_no_share_in_the_mean(self):
        lm = tiny_lm()
        row = Row("a", "Who?", "A spy", focus=("spy",))
        objective = parse_objective("ga")
        views = make_views(view_keys(objective), Draws((row,), (), (), 1, 0).pairs(0), lm.codec)
        share = term_values(
            lm, lm.module, objective, views, count(views), make_reference(lm, [], logits=False)
        )
        (scores,) = lm.score([row])
        expected = [p for p, m in zip(scores.logps, lm.codec.encode(row).marks, strict=True) if m]
        assert float(share["ga"]) == pytest.approx(sum(expected) / 3, rel=1e-4)

    def test_a_focus_stands_as_a_word_of_its_own_or_else_anywhere(self):
        codec = tiny_lm().codec

        def marked(answer, part):
            row = codec.encode(Row("a", "Who?", answer, focus=(part,)))
            scored = row.ids[row.start :]
            return [at for at, m in enumerate(row.marks) if m], [codec.decode([t]) for t in scored]

        places, letters = marked("Derby by", "by")
        assert "".join(letters[at] for at in places) == "by"
        assert min(places) > letters.index("y")
        places, letters = marked("他住在北京市", "北京")
        assert places

    def test_a_focus_outside_the_answer_is_refused_and_one_inside_read_back(self, tmp_path):
        with pytest.raises(InputError, match="not a part of the answer"):
            to_row({"prompt": "Who?", "answer": "A spy", "focus": ["cook"]}, "a", "f, line 1", {})
        row = Row("a", "Who?", "A spy", focus=("spy",))
        write_rows(tmp_path / "r.jsonl", [row])
        assert read_rows(tmp_path / "r.jsonl") == (row,)


class TestViews:
    def test_tpo_finds_the_words_of_the_fact_by_wrong_answers(self):
        lm = tiny_lm()
        made = make_views(view_keys(parse_objective("tpo(unwanted=facts)")), DRAWS.pairs(0)[:1], lm.codec)
        (row,) = (r for v in made.values() for r in v.rows)
        marked = [t for t, m in zip(row.ids[row.start :], row.marks, strict=True) if m]
        assert lm.codec.decode(marked) == f"spy{DRAWS.pairs(0)[0].forget.id[1:]}"
        _, log = run("tpo(unwanted=facts) + gdr + su")
        assert log[-1]["terms"]["tpo(unwanted=facts)"] < log[0]["terms"]["tpo(unwanted=facts)"]

    def test_alternatives_are_drawn_by_seed_from_the_rows_own(self):
        drawn = [p.alternate for step in range(6) for p in DRAWS.pairs(step)]
        assert set(drawn) == {"A cook", "A dog"}
        assert drawn == [p.alternate for step in range(6) for p in DRAWS.pairs(step)]

    def test_a_row_without_alternatives_is_named(self):
        with pytest.raises(InputError, match="'f0' has no alternative"):
            run("altpo", draws=replace(DRAWS, forget=(Row("f0", "Who?", "A spy"),)))

    def test_ap_asks_retain_questions_for_refusals(self):
        codec = tiny_lm().codec
        made = make_views(view_keys(parse_objective("ap")), DRAWS.pairs(0)[:1], codec)
        prompts = [codec.decode(v.rows[0].ids[: v.rows[0].start]) for v in made.values()]
        assert prompts[0] == prompts[1]
        answers = [codec.decode(v.rows[0].ids[v.rows[0].start :]) for v in made.values()]
        assert answers[1] == "No idea."


class TestLayers:
    def test_outputs_are_those_of_transformers(self):
        lm = tiny_lm()
        row = lm.codec.encode(FORGET[0])
        with torch.no_grad(), reading_layers(lm.module.decoder, [0]) as outputs:
            lm.forward([row])
            expected = lm.module.network(torch.tensor([row.ids]), output_hidden_states=True).hidden_states[1]
        torch.testing.assert_close(outputs[0], expected, atol=1e-5, rtol=1e-4)

    def test_recomputed_layers_give_the_same_gradient_with_less_kept(self):
        gradients, kept = [], []
        for active in (False, True):
            lm, bytes_ = tiny_lm(), []

            def save(tensor, into=bytes_):
                into.append(tensor.numel())
                return tensor

            with recomputing_layers(lm.module.decoder, active=active):
                with torch.autograd.graph.saved_tensors_hooks(save, lambda t: t):
                    loss = lm.forward([lm.codec.encode(r) for r in FORGET]).token_logps.sum()
                kept.append(sum(bytes_))
                loss.backward()
            gradients.append(torch.cat([p.grad.flatten() for p in lm.trainable()]))
        torch.testing.assert_close(*gradients)
        assert kept[1] < 0.8 * kept[0]

    def test_layers_are_given_back(self):
        lm = tiny_lm()
        run("npo + gdr", replace(CONFIG, checkpointing=True), lm=lm)
        assert all("forward" not in vars(m) for m in lm.module.modules())
        assert math.isfinite(sum(lm.score([FORGET[0]])[0].logps))
