"""The worker side: what owns a partition of tasks, keeps its journal and sends what the coroutines ask for."""

__all__: list[str] = []
