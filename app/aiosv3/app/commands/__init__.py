"""The verbs of the ``aiosv3`` command, a module each."""

__all__: list[str] = []
