from __future__ import annotations

from aiosv3.app.doctor import Finding, Level


def test_findings_are_plain_data_with_stable_names() -> None:
    assert Finding.ok("disk", "fine").to_json() == {"check": "disk", "level": "ok", "message": "fine", "action": None}
    assert Finding.warning("disk", "low", "make room").action == "make room"
    assert Finding.failed("disk", "full").level is Level.FAILED
