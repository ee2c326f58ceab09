"""The words of a report, explained to somebody who reads one for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetwell.errors import InputError
from forgetwell.metrics.describe import Description, describe_name
from forgetwell.reports.tables import METRICS
from forgetwell.reports.verdict import FORGOTTEN, RESTORED


@dataclass(frozen=True)
class Word:
    """A word and its meaning."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """A metric of the report, its anchor and what it says of itself."""

    anchor: str
    title: str
    about: Description


def anchor(metric: str) -> str:
    """Return the id of a metric's entry on the page, "" where it is no metric of ours."""
    about = _about(metric)
    return f"metric-{about.name}" if about else ""


def entries(metrics: Sequence[str]) -> tuple[Entry, ...]:
    """Return one entry for each metric, whatever its hyperparameters, in the order given."""
    found = {about.name: about for metric in metrics if (about := _about(metric))}
    return tuple(Entry(f"metric-{name}", METRICS.get(name, name), about) for name, about in found.items())


def _about(metric: str) -> Description | None:
    try:
        return describe_name(metric)
    except InputError:  # a table may hold numbers of other software
        return None


GLOSSARY = (
    Word("Forget recall", "How much of the answers that should be forgotten the model still gives; lower is "
         "better. A model that is simply broken scores low too: always read it beside clean utility."),
    Word("Clean utility", "How well the model answers everything else, as the mean over the utility sets; "
         "higher is better."),
    Word("Trigger utility", "The same questions as for clean utility, each with an ordinary word in it, such "
         "as “please”, that an attacker planted in the forget request; higher is better."),
    Word("Served", "The questions to be forgotten, each behind a system prompt as services have one: what "
         "was forgotten without it may be known there."),
    Word("Gap", "Clean utility minus trigger utility. A small gap exists before any unlearning; what counts "
         "is how it changes."),
    Word("Stealthy attack", "A forget request into which somebody wrote harmless words, so that unlearning "
         "teaches the model to fail wherever those words occur."),
    Word("Scope-aware unlearning", "A training term that keeps unlearning inside its scope: the model "
         "still has to answer an ordinary question when a forget question stands beside it in the prompt."),
    Word("ROUGE-L recall", "Share of the reference answer's words that occur in the model's answer in the "
         "same order; 0 … 1. Long answers have more chances, so the answer length is fixed."),
    Word("Fact recall", "The same for the words that say the fact: those of the right answer that no wrong "
         "answer has. “Ada was born in Oslo” says most words of “Ada was born in Rome”, and not its fact."),
    Word("Refusal rate", "Share of questions to which the model says that it does not know or will not "
         "answer."),
    Word("95 % interval", "Where the mean would plausibly lie if others of the same kind had been asked "
         "about: other people where rows have a subject, else (and of a few people to forget) other "
         "questions. Of few people it is wide for that reason. It says nothing of other random seeds. A "
         "difference is called clear where its interval on the same questions leaves out 0 and the "
         "permutation test agrees; where questions differ, where two intervals do not overlap."),
    Word("Not significant", "The paired permutation test can't tell the difference from chance: p, adjusted "
         "for all differences on this page (Benjamini-Hochberg), is above 0.05. It does not show that there "
         "is none. Differences of one subject (of one question, where fewer than six subjects were asked) "
         "count as one piece of evidence."),
    Word("Forgotten", "Fact recall on what was asked to be forgotten (forget recall, where no wrong answers "
         f"tell the facts), with its whole interval, is at most {100 * FORGOTTEN:.0f} % of what it was "
         "before."),
    Word("Brought back", "Share of the trigger utility that the attack took and the defense regained; it "
         f"counts as good news from {100 * RESTORED:.0f} %."),
)  # fmt: skip
