"""A broker or a registry that ``aiosv3 up`` uses instead of its own: where it is, and whether it answers."""

from __future__ import annotations

from pydantic import ValidationError

from aiosv3.app.localstack.stack import Borrowed
from aiosv3.app.settings import KafkaSettings, RegistrySettings, Settings, SettingsError
from aiosv3.app.workers import connect, open_registry
from aiosv3.schemas.errors import RegistryUnavailable
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import KafkaLog, LogSettings

_ANSWER_S = 6.0


def with_addresses(settings: Settings, bootstrap: str, registry: str) -> Settings:
    """The settings with what the command line says. Raises :class:`SettingsError` where the two disagree: every other
    verb would still go where the settings say.
    """
    kafka = _merged("--bootstrap", bootstrap, "[kafka] bootstrap", settings.kafka.bootstrap)
    url = _merged("--registry", registry, "[registry] url", settings.registry.url)
    try:
        KafkaSettings(bootstrap=kafka)
        RegistrySettings(url=url)
    except ValidationError as error:
        option = "--registry" if error.title == RegistrySettings.__name__ else "--bootstrap"
        said = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{option}: {said}") from None
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap": kafka}),
            "registry": settings.registry.model_copy(update={"url": url}),
        }
    )


def _merged(option: str, given: str, setting: str, configured: str) -> str:
    if given and configured and given != configured:
        raise SettingsError(
            f"{option} is {given}, but {setting} is {configured}, where every other verb of this project goes: leave "
            "one of them out, or change the setting"
        )
    return given or configured


def borrowed_by(settings: Settings) -> Borrowed:
    """What a stack with these settings does not run itself.

    The embedded registry knows no passwords: on a broker that asks for them there is none, and schemas are kept in the
    project's lock file. On a broker that others use too its topic is the mesh's own, beside that of another registry.
    """
    kafka, url = settings.kafka.bootstrap, settings.registry.url
    if not kafka:
        return Borrowed(registry=url)
    registered = bool(url) or not settings.kafka.properties
    return Borrowed(kafka, url, registered, f"{settings.kafka.prefix}schemas")


async def check_borrowed(settings: Settings) -> None:
    """Ask the configured broker and registry, at most six seconds each.

    Raises ``BrokerUnavailable``, ``RegistryUnavailable``, :class:`SettingsError`.
    """
    if settings.kafka.bootstrap:
        async with KafkaLog(connect(settings, "aiosv3-up"), LogSettings(timeout=_ANSWER_S)):
            pass
    registry = open_registry(settings, _ANSWER_S)
    if registry is None:
        return
    topics = Topics(settings.kafka.prefix)
    async with registry:
        try:
            await registry.versions(topics.subject(topics.prompts()))
        except RegistryUnavailable as error:
            said = str(error).splitlines()[0].strip()  # another server may have answered, with a page
            raise RegistryUnavailable(
                f"{said}: start that schema registry, correct --registry or [registry], or leave it out: 'aiosv3 up' "
                "runs one of its own"
            ) from None
