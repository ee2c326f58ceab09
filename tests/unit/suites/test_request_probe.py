from tests.toy import rows

from forgetwell.suites import probe
from forgetwell.types import Request


def test_more_forget_rows_are_asked_than_rows_to_keep(monkeypatch):
    """A stop rule reads the forget rows: of 24 all are asked, of rows to keep 8 in every template."""
    asked = {}
    monkeypatch.setattr(
        probe,
        "make_probe",
        lambda forget, clean, trigger, **options: asked.update(forget=forget, clean=clean, trigger=trigger),
    )
    probe.request_probe(Request("r", rows("f", 24)), rows("k", 40))
    assert sorted(r.id for r in asked["forget"]) == sorted(r.id for r in rows("f", 24))
    assert len(asked["clean"]) == 8
    assert len(asked["trigger"]) == 32
    probe.request_probe(Request("r", rows("f", 100)), rows("k", 40), forget_rows=30)
    assert len(asked["forget"]) == 30
