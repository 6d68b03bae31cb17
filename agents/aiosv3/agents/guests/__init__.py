"""Agents of other frameworks as guests: each module needs the extra of its name, and is loaded by nobody else."""

__all__: list[str] = []
