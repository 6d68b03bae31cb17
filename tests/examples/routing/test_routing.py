"""The example's table holds, and holds the policy: without one of its parts a line fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aiosv3.app.cli import app

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "routing"


def outcome_of(folder: Path) -> Result:
    return CliRunner().invoke(app, ["route", "test", str(folder / "expected.yaml"), "-p", str(folder)])


def test_every_expectation_holds() -> None:
    done = outcome_of(EXAMPLE)
    assert (done.exit_code, done.stdout) == (0, "10 of 10 expectations hold (policy 962a006132cd8c6c).\n")
    assert done.stdout in (EXAMPLE / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("internal: {terms: [no_training]}", "internal: {}"),
        ("regions: [eu]", "regions: [us]"),
        ("default_class: restricted", "default_class: public"),
        ("max_usd: 0.001", "max_usd: 1"),
        ("not_pools: [europe]", "not_pools: [cheap]"),
        ("weights: {quality: 0.9, cost: 0.1}", "weights: {quality: 0.1, cost: 0.9}"),
    ],
)
def test_without_a_part_of_the_policy_a_line_fails(tmp_path: Path, written: str, instead: str) -> None:
    folder = tmp_path / "routing"
    shutil.copytree(EXAMPLE, folder)
    policy = (folder / "routing.yaml").read_text(encoding="utf-8")
    assert written in policy
    (folder / "routing.yaml").write_text(policy.replace(written, instead), encoding="utf-8")
    assert outcome_of(folder).exit_code == 1
