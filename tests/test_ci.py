"""The script that checks a clean checkout: what makes it red."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "run"

MAKE = """#!/bin/bash
[ "$1" = "$BROKEN" ] && exit 2
if [ "$1" = test ]; then
  for number in $(seq "$FAILURES"); do echo "FAILED tests/x.py::test_$number - boom"; done
  echo "==== $FAILURES failed, 5 passed in 3s ===="
  [ "$FAILURES" = 0 ]
fi
"""


@pytest.mark.parametrize(
    ("failures", "again", "broken", "green"),
    [
        (0, 1, "", True),
        (1, 0, "", True),
        (3, 0, "", True),
        (1, 1, "", False),
        (4, 0, "", False),
        (0, 0, "test", False),
        (0, 0, "check", False),
        (0, 0, "setup", False),
        (0, 0, "simulate", False),
        (0, 0, "bench-instructions", False),
    ],
)
def test_a_few_tests_may_fail_once_and_nothing_else(
    tmp_path: Path, failures: int, again: int, broken: str, green: bool
) -> None:
    for name, text in (
        (".ci/run", SCRIPT.read_text(encoding="utf-8")),
        ("bin/make", MAKE),
        (".venv/bin/python", '#!/bin/bash\necho "pytest $*"\nexit "$AGAIN"\n'),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "bin" / "kcat").symlink_to("/bin/true")
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "FAILURES": str(failures),
        "AGAIN": str(again),
        "BROKEN": broken,
    }
    done = subprocess.run([tmp_path / ".ci/run"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == green, done.stdout + done.stderr
    for number in range(1, failures + 1):
        assert f"test_{number} - boom" in done.stdout
    assert ("pytest -m pytest" in done.stdout) == (1 <= failures <= 3)
    assert ("failed once and passed" in done.stdout) == (green and failures > 0)
