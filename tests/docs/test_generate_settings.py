"""docs/reference/settings.md is what the settings' models say, today."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from aiosv3.app.effective import effective
from aiosv3.app.settings import Settings, load_settings
from aiosv3.schemas.headers import Clearance
from docs import generate_settings as reference

EVERYTHING: Final = """
agents = ["m:f"]
[pools.NAME]
kind = "local"
[agent.NAME]
pool = "NAME"
[people.NAME]
[budgets.tenant.NAME]
usd = 1
[budgets.agent.NAME]
usd = 1
[tools.ZONE.servers.NAME]
kind = "files"
root = "x"
"""


def test_the_page_is_up_to_date() -> None:
    written = reference.TARGET.read_text(encoding="utf-8")
    assert written == reference.page(), "a setting has changed: run 'python -m docs.generate_settings'"


def test_every_setting_has_a_meaning_and_stands_once() -> None:
    found = [one for group in reference.groups() for one in group.settings]
    assert [".".join(one.place) for one in found if not one.meaning] == []
    assert len({one.variable for one in found}) == len(found)
    assert {"AIOSV3_KAFKA__BOOTSTRAP", "AIOSV3_POOLS__NAME__MODEL"} <= {one.variable for one in found}


def test_the_variables_are_those_that_aiosv3_config_names(tmp_path: Path) -> None:
    """Two ways to the same names: the models here, the values there."""
    path = tmp_path / "aiosv3.toml"
    path.write_text(EVERYTHING.replace("NAME", "name").replace("ZONE", "zone"), encoding="utf-8")
    settings = load_settings(path)
    named = {one.variable for one in effective(settings, settings, {})}
    assert {one.variable for group in reference.groups() for one in group.settings} == named


@pytest.mark.parametrize(
    "group", [one for one in reference.groups() if len(one.place) == 1], ids=lambda one: one.place[0]
)
def test_a_variable_sets_its_setting(group: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = {"path": "x", "text": "a", "secret": "s", "list of text": '["m:f"]', "table of secret": '{"k": "v"}'}
    samples |= {"`true` or `false`": "true", "table of `public`": '{"K": "public"}'}
    for one in group.settings:
        if one.variable in {"AIOSV3_KAFKA__BOOTSTRAP", "AIOSV3_REGISTRY__URL", "AIOSV3_SEALING__KEYS"}:
            continue  # texts of a form of their own
        if one.variable in {"AIOSV3_MEMORY__EMBEDDER", "AIOSV3_MEMORY__TEAMS", "AIOSV3_MEMORY__VIEW"}:
            continue  # one of few words, a table of lists
        if one.variable in {"AIOSV3_MEMORY__WEAVIATE__URL", "AIOSV3_MEMORY__WEAVIATE__COLLECTION"}:
            continue  # texts of a form of their own
        sample = samples.get(one.type.split(", ")[0], "public" if "`public`" in one.type else "2000")
        sample = "2" if "at most 64" in one.type else "0.5" if one.type.endswith("at most 1") else sample
        with monkeypatch.context() as patch:
            patch.setenv(one.variable, sample)
            value: Any = Settings()
            for name in one.place:
                fields = {field.alias or own: own for own, field in getattr(type(value), "model_fields", {}).items()}
                value = value[name] if isinstance(value, dict) else getattr(value, fields.get(name, name))
            assert value not in ("", [], {}, Settings.model_fields[group.place[0]].default), one.variable


def test_types_bounds_and_defaults_in_words() -> None:
    class Sample(BaseModel):
        name: Annotated[str, Field(min_length=1)]
        count: Annotated[int, Field(ge=1, le=10_000)] = 6
        kind: Literal["a", "b"] = "a"
        secret: SecretStr = SecretStr("")
        clearance: Clearance | None = None
        words: dict[str, list[str]] = {}
        seconds: Annotated[float, Field(gt=0)] | None = None

    (group,) = reference.groups(Sample)
    assert [(one.type, one.default) for one in group.settings] == [
        ("text, not empty", "must be given"),
        ("whole number, at least 1, at most 10,000", "`6`"),
        ("`a`, `b`", '`"a"`'),
        ("secret", ""),
        ("`public`, `internal`, `confidential`, `restricted`", ""),
        ("table of list of text", ""),
        ("number", ""),
    ]


def test_the_docstring_below_a_field_is_its_meaning() -> None:
    class Sample(BaseModel):
        """Of the group."""

        first: str = ""
        """Of the first."""
        second: str = ""

    assert reference.meanings(Sample) == {"first": "Of the first."}
