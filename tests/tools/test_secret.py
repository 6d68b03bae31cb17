from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.tools import Secrets, SecretUnusable, ToolRefused

TOKEN = 's3cr3t/"t0ken"+ä'


def test_markers_are_replaced_wherever_they_are() -> None:
    secrets = Secrets({"crm-token": TOKEN})
    marker = {"$secret": "crm-token"}
    assert secrets.reveal({"a": [marker, {"b": marker}], "c": 1}) == {"a": [TOKEN, {"b": TOKEN}], "c": 1}
    assert secrets.reveal({"$secret": "crm-token", "more": 1}) == {"$secret": "crm-token", "more": 1}


@pytest.mark.parametrize("name", ["other", "", 7, ["crm-token"]])
def test_a_name_that_is_not_listed_is_refused(name: object) -> None:
    with pytest.raises(ToolRefused, match="may not use a secret"):
        Secrets({"crm-token": TOKEN}).reveal({"x": {"$secret": name}})


def test_headers_and_environments_name_their_secrets() -> None:
    secrets = Secrets({"crm-token": TOKEN})
    assert secrets.fill("Bearer ${crm-token}!") == f"Bearer {TOKEN}!"
    with pytest.raises(ToolRefused):
        secrets.fill("${other}")


@given(before=st.text(max_size=4), after=st.text(max_size=4))
def test_a_secret_is_found_in_the_ways_in_which_servers_write_it(before: str, after: str) -> None:
    secrets = Secrets({"crm-token": TOKEN})
    said = before + TOKEN + after
    encoded = base64.b64encode(said.encode()).decode()
    ways = [said, quote(said), quote(said, safe=""), json.dumps(said), json.dumps(said, ensure_ascii=False)]
    for way in [*ways, said.encode().hex(), encoded, base64.urlsafe_b64encode(said.encode()).decode()]:
        scrubbed = secrets.scrub_text(way)
        assert "[secret crm-token]" in scrubbed
        assert TOKEN not in scrubbed


def test_numbers_and_keys_are_scrubbed_and_the_rest_is_left() -> None:
    secrets = Secrets({"pin": "12345678", "crm-token": TOKEN})
    assert secrets.scrub({TOKEN: 912345678, "n": 5, "t": True, "z": None}) == {
        "[secret crm-token]": "9[secret pin]",
        "n": 5,
        "t": True,
        "z": None,
    }
    assert Secrets().scrub({"a": TOKEN}) == {"a": TOKEN}
    assert Secrets().scrub_text(TOKEN) == TOKEN


def test_the_longer_secret_goes_first() -> None:
    secrets = Secrets({"a": "password", "b": "password-and-more"})
    assert secrets.scrub_text("password-and-more") == "[secret b]"


@pytest.mark.parametrize(("name", "value"), [("crm", "short"), ("CRM", "long enough"), ("a b", "long enough")])
def test_what_cannot_be_kept_out_of_answers_is_no_secret(name: str, value: str) -> None:
    with pytest.raises(SecretUnusable, match="secret"):
        Secrets({name: value})
