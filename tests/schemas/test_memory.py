"""Names of memory: keyed, of their tenant alone, and placed."""

from __future__ import annotations

from aiosv3.schemas.memory import content_hash_of, memory_id_of, place_in, place_of, subject_of

SECRET = b"secret"


def test_names_are_keyed_and_differ_between_tenants_and_meshes() -> None:
    names = {
        subject_of(secret, tenant, "ada") for secret in (SECRET, b"another") for tenant in ("acme", "other", "acmes")
    }
    assert len(names) == 6
    assert all(len(name) == 32 and "ada" not in name for name in names)
    assert subject_of(SECRET, "acme", "ada") == subject_of(SECRET, "acme", "ada")


def test_a_memory_lies_where_all_of_its_subject_lies() -> None:
    about = subject_of(SECRET, "acme", "ada")
    place = place_of(SECRET, "acme", "tenant", about)
    assert place == place_of(SECRET, "acme", "team:x", about)
    assert place_of(SECRET, "acme", "tenant", None) != place_of(SECRET, "acme", "team:x", None)
    memory_id = memory_id_of(SECRET, "acme", place, "tenant", "fact", "text", "x")
    assert (place_in(memory_id), len(memory_id)) == (place, 40)


def test_no_two_lists_of_words_look_the_same() -> None:
    place = "0" * 16
    assert memory_id_of(SECRET, "t", place, "a", "bc") != memory_id_of(SECRET, "t", place, "ab", "c")
    hashes = {
        content_hash_of(SECRET, "t", *said) for said in (("a", None), ("a", ""), ("a", "-"), ("a+", None), ("a",))
    }
    assert len(hashes) == 5
