"""WWW-Authenticate, as registries write it and as they get it wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_client.challenge import MAX_CHALLENGES, MAX_FIELD, Challenge, parse_challenges


def test_docker_hubs_challenge_is_understood() -> None:
    field = (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
        'scope="repository:library/alpine:pull,push"'
    )

    (challenge,) = parse_challenges([field])

    assert challenge == Challenge(
        "bearer",
        {
            "realm": "https://auth.docker.io/token",
            "service": "registry.docker.io",
            "scope": "repository:library/alpine:pull,push",
        },
    )


@pytest.mark.parametrize(
    ("fields", "schemes"),
    [
        (["Basic realm=x, Bearer realm=y"], ["basic", "bearer"]),
        (["Basic realm=x", "Bearer realm=y"], ["basic", "bearer"]),
        (["Negotiate", "NTLM abc==, BASIC realm=x"], ["negotiate", "ntlm", "abc", "basic"]),
        ([", ,Basic realm=x,,"], ["basic"]),
        ([""], []),
        (['"', "=", ",,,"], []),
    ],
)
def test_every_challenge_of_every_field_is_found(fields: list[str], schemes: list[str]) -> None:
    assert [challenge.scheme for challenge in parse_challenges(fields)] == schemes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('Basic realm="a \\"quoted\\" realm"', 'a "quoted" realm'),
        ("Basic realm=bare", "bare"),
        ("Basic realm=https://auth.example/token", "https://auth.example/token"),
        ('Basic REALM = "spaced"', "spaced"),
        ('Basic realm="first",realm="second"', "first"),
        ('Basic realm="a,b=c d"', "a,b=c d"),
    ],
)
def test_values_come_with_quotes_or_without(field: str, value: str) -> None:
    (challenge,) = parse_challenges([field])

    assert challenge.parameters["realm"] == value


@given(st.lists(st.text(max_size=200), max_size=4))
def test_nothing_makes_the_parser_raise(fields: list[str]) -> None:
    parse_challenges(fields)


def test_a_field_of_any_length_and_any_number_of_challenges_are_bounded() -> None:
    assert len(parse_challenges(["Basic x=y," * 10_000])) <= MAX_CHALLENGES
    assert parse_challenges([" " * MAX_FIELD + "Basic realm=x"]) == ()


@given(
    realm=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=50),
    scope=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=50),
)
def test_what_is_quoted_properly_comes_back(realm: str, scope: str) -> None:
    def quote(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    (challenge,) = parse_challenges([f"Bearer realm={quote(realm)}, scope={quote(scope)}"])

    assert challenge.parameters == {"realm": realm, "scope": scope}
