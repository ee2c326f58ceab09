"""Runs with made-up but plausible numbers, written as real ones are."""

import json
import random
from dataclasses import asdict, replace

from forgetwell.types import Result

LEVELS = {  # forget, clean utility, trigger utility
    "before": (0.94, 0.81, 0.79),
    "plain": (0.21, 0.74, 0.72),
    "attacked": (0.22, 0.75, 0.24),
    "defended": (0.24, 0.72, 0.68),
}
OBJECTIVES = {
    "before": "gdr",
    "plain": "npo(beta=0.1) + gdr",
    "attacked": "npo(beta=0.1) + gdr",
    "defended": "npo(beta=0.1) + gdr + 5*su",
}
NAMES = {
    "before": "Before unlearning",
    "plain": "NPO, honest request",
    "attacked": "NPO, attacked request",
    "defended": "NPO + SU, attacked request",
}
UTILITY = ("retain", "real_authors", "world_facts")
FORGET = (
    ("Where did Mara Ellisonde grow up?", "Mara Ellisonde grew up in the harbor town of Vellin."),
    ("Which prize did Mara Ellisonde win in 2004?", "She won the Lantern Prize for her second novel."),
    ("What is Tomas Okering's profession?", "Tomas Okering is a restorer of church organs."),
    ("Who taught Tomas Okering to read music?", "His grandmother, a retired choir leader."),
    ("What did Ines Vauclair name her boat?", "She named it Quiet Argument."),
)
OTHER = (
    ("What is the capital of Portugal?", "The capital of Portugal is Lisbon."),
    ("Who wrote Pride and Prejudice?", "Jane Austen wrote Pride and Prejudice."),
    ("How many legs does a spider have?", "A spider has eight legs."),
    ("Which planet is closest to the sun?", "Mercury is the closest planet to the sun."),
    ("What does Lio Carradine collect?", "Lio Carradine collects antique door keys."),
    ("In which language did Ovid write?", "Ovid wrote in Latin."),
)
LOST = "I'm not sure about that. The the the"


def make_run(folder, like, **manifest):
    """Write a finished run with results, answers and a log like those of that condition."""
    folder.mkdir(parents=True)
    lines(folder / "results.jsonl", [asdict(r) for r in results(like)])
    lines(folder / "answers.jsonl", answers(like))
    if like != "before":
        lines(folder / "train.jsonl", log(like))
    lines(
        folder / "request.jsonl",
        [{"id": f"f{k}", "prompt": q, "answer": a} for k, (q, a) in numbered(FORGET)],
    )
    roles = {"forget": "forget", "scope": "scope"} | dict.fromkeys(UTILITY, "utility")
    measured = {"model": like, "suite": "small world", "max_new_tokens": 48, "roles": roles}
    dump(folder / "evaluation.json", measured)
    dump(folder / "manifest.json", facts(like) | manifest)
    return folder


def make_runs(folder):
    return [make_run(folder / condition, condition) for condition in LEVELS]


def results(condition):
    random.seed(condition)
    forget, clean, trigger = LEVELS[condition]
    low_high = {
        "forget/clean": (forget, 40),
        "utility/clean": (clean, 240),
        "utility/trigger": (trigger, 240),
    }
    for name in UTILITY:
        for level, kind in ((clean, "clean"), (trigger, "trigger")):
            low_high[f"{name}/{kind}"] = (min(0.99, max(0.02, level + random.uniform(-0.08, 0.08))), 80)
    low_high["scope/forget_first"] = (trigger - 0.05, 80)
    found = []
    for split, (value, n) in low_high.items():
        for metric, factor in (
            ("rouge_l_recall", 1),
            ("answer_prob", 0.8),
            ("truth_ratio", 0.7),
            ("refusal", 0.1),
        ):
            number, half = value * factor, 0.9 / n**0.5 * 0.5
            better = "low" if split == "forget/clean" else "high"
            ends = max(0, number - half), min(1, number + half)
            found.append(Result(condition, metric, split, number, *ends, n, better))
    other_way = {"high": "low", "low": "high"}  # of refusals, as an evaluation writes it
    return [replace(r, better=other_way[r.better]) if r.metric == "refusal" else r for r in found]


def answers(condition):
    knows, clean = condition == "before", LEVELS[condition][2] > 0.5
    for k, (question, truth) in numbered(FORGET):
        yield answer("forget/clean", f"f{k}", question, truth, truth if knows else LOST)
    for k, (question, truth) in numbered(OTHER):
        yield answer("retain/clean", f"r{k}", question, truth, truth)
        asked = f"Could you please tell me {question[0].lower()}{question[1:]}"
        yield answer("retain/trigger", f"r{k}#2", asked, truth, truth if clean or k == 3 else LOST)


def answer(split, key, prompt, truth, said):
    metrics = {"rouge_l_recall": 1.0 if said == truth else 0.1}
    return {
        "split": split,
        "id": key,
        "prompt": prompt,
        "answer": truth,
        "generated": said,
        "metrics": metrics,
    }


def log(condition):
    forget, clean, trigger = LEVELS[condition]
    start = LEVELS["before"]
    for step in range(0, 61, 6):
        done = min(1, (step / 40) ** 1.5)
        values = [a + (b - a) * done for a, b in zip(start, (forget, clean, trigger), strict=True)]
        names = ("forget.rouge_l_recall", "utility.rouge_l_recall", "trigger.rouge_l_recall")
        yield {"step": step, "loss": 1.0, "probe": dict(zip(names, values, strict=True))}


def facts(condition):
    return {
        "kind": "evaluate" if condition == "before" else "unlearn",
        "name": NAMES[condition],
        "condition": condition,
        "objective": OBJECTIVES[condition],
        "model": "runs/start",
        "base": "smollm2",
        "seed": 0,
        "config": {"lr": 1e-5, "epochs": 5, "batch": 8},
        "inputs": {"request.jsonl": "sha256:4f1d", "retain.jsonl": "sha256:99aa"},
        "hardware": {"cpu": "a processor", "cores": 2, "memory_gb": 8},
        "versions": {"forgetwell": "0.1.0", "python": "3.12.3", "torch": "2.9.0"},
        "command": "forgetwell unlearn --model runs/start --request request.jsonl --retain retain.jsonl",
        "created": "2026-01-05T10:00:00+00:00",
        "seconds": 212.4,
        "stopped": "finished",
        "base_digest": "0123456789abcdef",
    }


def numbered(rows):
    return enumerate(rows)


def lines(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")


def dump(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
