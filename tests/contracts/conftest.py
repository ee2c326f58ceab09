import pytest

from forgetwell import own
from forgetwell.cli.listing import all_families


@pytest.fixture
def families(monkeypatch):
    """Take everything back that a test registers."""
    for family in all_families().values():
        monkeypatch.setattr(family, "_items", dict(family._items))
    monkeypatch.setattr(own, "_USED", {})
