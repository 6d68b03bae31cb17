"""Settings of pools: ``[pools.NAME]``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from aiosv3.app.vllmsettings import VllmSettings
from aiosv3.router.endpoints.weights import SMOLLM2
from aiosv3.schemas.headers import Clearance

_CALL_TOOLS: Final = frozenset({"openai", "anthropic"})
_LOCAL_DEFAULTS: Final = {
    "model": SMOLLM2.model,
    "clearance": Clearance.RESTRICTED,  # it never leaves the machine
    "context_window": 2_048,  # it could read more, but not in a time that anybody waits
    "quality": 0.1,
    "concurrency": 4,
    "data_terms": ["no_training", "zero_retention"],
}


def parse_clearance(value: Any) -> Any:
    """The class of data that a text names; what is no text stays as it is."""
    return Clearance.parse(value) if isinstance(value, str) else value


def http_url(value: str) -> str:
    """Empty, or an absolute http(s) URL without credentials, which belong into settings that are kept secret."""
    if not value:
        return value
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("this is no absolute http(s) URL: write it as http://host:port/path")
    if url.username is not None or url.password is not None:
        raise ValueError("a URL must carry no credentials: they have settings of their own")
    return value


class PoolSettings(BaseModel):
    """A pool: an endpoint, its model, what it may see, what it costs (US dollars per million tokens).

    ``kind = "local"`` knows its model and limits itself; the others need ``model``, and vLLM ``base_url`` or ``serve``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["openai", "anthropic", "vllm", "local"]
    """Which API the endpoint speaks; ``local`` is the toy model inside its worker."""
    base_url: str = ""
    """Empty: the provider's own."""
    model: str = ""
    """The name that the endpoint knows it by."""
    api_key_env: str = ""
    """Name of the environment variable with the key. Default: the provider's usual one for the provider's own URL,
    none for another ``base_url``: a key goes to nobody for whom it was not made."""
    clearance: Clearance = Clearance.PUBLIC
    """The highest class of data that it may see. A prompt above it never goes there."""
    input_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Price of what is sent, in US dollars per million tokens."""
    output_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Price of what is answered."""
    cached_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Price of what the endpoint had in its cache; none: that of the rest of what is sent."""
    gpu_usd_per_hour: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What the GPUs of one worker's server cost in US dollars an hour. The price of a token follows from the tokens a
    second that its worker measures."""
    gpu_tokens_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 100.0
    """What is assumed until it has been measured."""
    region: Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]*)?$", max_length=64)] = ""
    """Where it works on prompts, such as ``eu`` or ``eu-west-1``. Empty: no data that must stay somewhere go there."""
    data_terms: list[Literal["no_training", "zero_retention"]] = []
    """What its provider promises about prompts. The local model keeps nothing, so it has both."""
    context_window: Annotated[int, Field(ge=1)] = 128_000
    """Tokens of prompt and answer together; longer prompts do not go there."""
    quality: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How hard a task it is good for: 0 to 1, held against the complexity of the request."""
    capabilities: list[Literal["json", "tools", "vision"]] = ["json"]
    """What its model can do; with ``tools`` by default where the provider's own API is asked."""
    concurrency: Annotated[int, Field(ge=1)] = 32
    """Calls in flight of one worker."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds that one call may take."""
    api: Literal["chat", "responses"] = "chat"
    """Of ``openai``: which of its two APIs."""
    service_tier: Literal["default", "flex"] = "default"
    """Of ``openai``: ``flex`` for calls that may wait, at the price of batches where the price table knows one."""
    scheduling: Literal["fcfs", "priority"] = "fcfs"
    """Of ``vllm``: how its server orders calls. With ``priority`` it is told the priority of each; it must run with
    ``--scheduling-policy priority``, or it takes the field and says nothing."""
    wake: bool = False
    """Of ``vllm``: a server that sleeps is woken by the next call. Else its pool is down until somebody wakes it."""
    serve: bool = False
    """Of ``vllm``: each model worker of the pool runs a server of its own, as ``vllm`` below says."""
    vllm: VllmSettings = VllmSettings()

    _parse = field_validator("clearance", mode="before")(parse_clearance)
    _check_url = field_validator("base_url")(http_url)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if values.get("kind") == "local":
            return {**_LOCAL_DEFAULTS, **values}
        if values.get("kind") in _CALL_TOOLS and not values.get("base_url"):
            return {"capabilities": ["json", "tools"], **values}
        return values

    @model_validator(mode="after")
    def _complete(self) -> PoolSettings:
        if self.kind == "local":
            if self.model != SMOLLM2.model:
                raise ValueError(f"the local model is {SMOLLM2.model}: leave model out, or choose another kind")
            if self.base_url:
                raise ValueError("the local model runs in its worker: leave base_url out, or choose another kind")
        elif not self.model:
            raise ValueError(f'{self.kind} needs the name of a model: model = "…"')
        if self.gpu_usd_per_hour is not None and self.own_prices:
            raise ValueError(f"gpu_usd_per_hour is a price, and so is {self.own_prices[0]}: leave one of them out")
        self._check_server()
        return self

    def _check_server(self) -> None:
        if self.kind == "vllm" and not self.base_url and not self.serve:
            raise ValueError('vllm needs an address: base_url = "http://HOST:8000/v1", or serve = true to run it here')
        if self.kind == "vllm" and self.base_url and self.serve:
            raise ValueError("serve = true runs a server of its own: leave base_url out, or serve")
        if self.kind != "vllm" and (self.serve or self.wake or self.scheduling != "fcfs" or self.vllm.model_fields_set):
            raise ValueError('serve, wake, scheduling and vllm are for kind = "vllm"')
        if self.kind != "openai" and (self.api != "chat" or self.service_tier != "default"):
            raise ValueError('api and service_tier are for kind = "openai"')

    @property
    def flex(self) -> bool:
        """Whether its calls may wait."""
        return self.service_tier == "flex"

    @property
    def own_prices(self) -> list[str]:
        """The names of the prices of tokens that the project sets itself; zero is a price too."""
        names = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_usd_per_mtok")
        return [name for name in names if name in self.model_fields_set]
