"""Where broker and registry are: as configured, else those of the project's own local stack."""

from __future__ import annotations

from aiosv3.app.localstack.stack import Stack
from aiosv3.app.settings import Settings


def located(settings: Settings) -> Settings:
    """Fills in broker and registry of a running ``aiosv3 up``; on a configured broker, the registry that it runs."""
    if settings.kafka.bootstrap and settings.registry.url:
        return settings
    status = Stack(settings.state_folder).status()
    if status is None or not status.is_up:
        return settings
    if settings.kafka.bootstrap not in {"", status.addresses["kafka"]}:
        return settings
    kafka = settings.kafka.model_copy(update={"bootstrap": status.addresses["kafka"]})
    registry = settings.registry
    if not registry.url:
        registry = registry.model_copy(update={"url": status.addresses.get("registry", "")})
    return settings.model_copy(update={"kafka": kafka, "registry": registry})
