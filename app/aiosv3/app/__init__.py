"""Composition: settings, wiring, the ``aiosv3`` command, the embedded local stack, the sample job."""

__all__: list[str] = []
