"""The check of one file."""

from __future__ import annotations

import ast
from itertools import chain

from aiosv3.app.determinism.findings import Finding
from aiosv3.app.determinism.ignores import ignores_in, left
from aiosv3.app.determinism.names import outside_calls
from aiosv3.app.determinism.orders import set_orders
from aiosv3.app.determinism.sharing import changed_variables, shared_state
from aiosv3.app.determinism.units import units_of
from aiosv3.app.determinism.waits import lost_steps, swallowed_cancels


def check_source(text: str, file: str) -> list[Finding]:
    """What a replay could not repeat in the agents of a file, by line. Raises SyntaxError, and ValueError for NULs."""
    module = ast.parse(text, file)
    changed = changed_variables(module)
    found = chain.from_iterable(
        (
            *outside_calls(file, unit),
            *lost_steps(file, unit),
            *swallowed_cancels(file, unit),
            *set_orders(file, unit),
            *shared_state(file, unit, changed),
        )
        for unit in units_of(module)
    )
    # One line may say the same thing twice: client().get() makes a client and uses it.
    once = {(one.line, one.rule): one for one in sorted(found, reverse=True)}
    return sorted(left(file, once.values(), ignores_in(text), module))
