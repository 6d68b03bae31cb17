from __future__ import annotations

from pathlib import Path

import pytest

from aiosv3.app.settings import SettingsError, load_settings
from aiosv3.router.ledger import Cap
from aiosv3.router.ledger.caps import Capped


def written(folder: Path, text: str) -> Path:
    path = folder / "aiosv3.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_caps_are_as_they_are_written(tmp_path: Path) -> None:
    text = """
[budgets.tenant.acme]
usd = 50
window = "month"
[budgets.tenant."*"]
usd = 0.5
[budgets.agent.triage]
usd = 2.25
"""
    found = load_settings(written(tmp_path, text)).budgets
    assert found.tenant["acme"].cap == Cap(50_000_000, "month")
    caps = found.caps(lambda: 0)
    assert caps.of("acme", "triage") == (Capped("tenant@1970-01/acme", 50_000_000), Capped("agent/triage", 2_250_000))
    assert caps.of("other", None) == (Capped("tenant/other", 500_000),)
    assert not load_settings(written(tmp_path, "")).budgets.caps(lambda: 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budgets.tenant.acme]\nusd = -1", "budgets.tenant.acme.usd: -1.0 is not an amount of money"),
        ("[budgets.tenant.acme]\nusd = 1\nwindow = 'week'", "budgets.tenant.acme.window: Input should be 'day' or"),
        ("[budgets.tenant.acme]\nwindow = 'day'", "budgets.tenant.acme.usd: Field required"),
        ("[budgets.tenant.acme]\nusd = 1\ncap = 2", "there is no such setting; there are usd, window"),
        ("[budgets.team.x]\nusd = 1", "there is no such setting; there are agent, tenant"),
        ("[budgets.tenant.acme]\nus = 1", "budgets.tenant.acme.us: there is no such setting; there are usd, window"),
        ("[budgets.tenant]\nacme = 5", "budgets.tenant.acme: this is a table: write [budgets.tenant.acme]"),
        ('[budgets.agent.""]\nusd = 1', "a budget needs a name"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match="budgets") as caught:
        load_settings(written(tmp_path, text))
    assert said in str(caught.value)
