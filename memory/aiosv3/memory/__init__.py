"""Memory: what agents remember, as a log with views that can be rebuilt from it."""

__all__: list[str] = []
