from __future__ import annotations

from pathlib import Path

import pytest

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.specs import ProcessSpec, RestartPolicy, load_specs, save_specs


def test_specs_survive_their_file(tmp_path: Path) -> None:
    spec = ProcessSpec(
        "a",
        ("/x", "y"),
        tmp_path / "log",
        {"KEY": "v"},
        RestartPolicy(never=True, waiting=(4,)),
        1,
        "tcp://127.0.0.1:1",
    )
    save_specs(tmp_path, [spec], {"kafka": "k"})
    assert load_specs(tmp_path) == ([spec], {"kafka": "k"})
    assert (tmp_path / "specs.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "specs.json").unlink()
    with pytest.raises(LocalStackError, match="no process specifications"):
        load_specs(tmp_path)


def test_delays_double_up_to_the_limit() -> None:
    policy = RestartPolicy(first_s=1, max_s=5)
    assert [policy.delay(failures) for failures in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]
