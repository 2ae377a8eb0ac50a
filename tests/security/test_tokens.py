"""Tokens: only what this server signed, for this purpose, and in time, is believed."""

import base64
import datetime
import hashlib
import hmac
import json
import uuid
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from satupeta_server.errors import NotAuthenticatedError, StartError
from satupeta_server.security.tokens import Claims, Tokens, TokenType
from satupeta_server.settings import load_settings

KEY = "Zeu8Ohth-aeKie0ie-Xoo9Quai-Ahng6xie-oi3Dahph-ooB6eing-eiR2phie-thah7Chi"
CLAIMS = Claims(uuid.uuid4(), uuid.uuid4())
TYPES: tuple[TokenType, ...] = ("access", "refresh")


def make_tokens(key: str = KEY, algorithm: str = "HS256", *old: str) -> Tokens:
    former = SecretStr(json.dumps(old)) if old else None
    return Tokens(
        load_settings(None, secret_key=SecretStr(key), algorithm=algorithm, secret_keys_old=former)
    )


TOKENS = make_tokens()


def in_minutes(minutes: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)


def payload(**changes: Any) -> dict[str, Any]:
    """The claims of a good access token, some changed; None takes one away."""
    claims = {
        "sub": str(CLAIMS.user_id),
        "sid": str(CLAIMS.session_id),
        "typ": "access",
        "exp": int(in_minutes(5).timestamp()),
        "iat": int(in_minutes(0).timestamp()),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def part(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def refused(token: str, purpose: TokenType = "access", *, expired_too: bool = False) -> bool:
    with pytest.raises(NotAuthenticatedError):
        TOKENS.read(purpose, token, expired_too=expired_too)
    return True


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("token_type", TYPES)
def test_a_token_says_whose_session_it_is(token_type: TokenType, algorithm: str) -> None:
    tokens = make_tokens(algorithm=algorithm)
    token = tokens.sign(token_type, CLAIMS, in_minutes(1))
    assert tokens.read(token_type, token) == CLAIMS
    assert jwt.get_unverified_header(token)["alg"] == algorithm


def test_two_tokens_are_never_the_same() -> None:
    end = in_minutes(1)
    assert TOKENS.sign("access", CLAIMS, end) != TOKENS.sign("access", CLAIMS, end)


def test_a_token_serves_its_own_purpose_only() -> None:
    access = TOKENS.sign("access", CLAIMS, in_minutes(1))
    refresh = TOKENS.sign("refresh", CLAIMS, in_minutes(1))
    assert refused(access, "refresh")
    assert refused(refresh, "access")
    assert refused(access, "refresh", expired_too=True)


@pytest.mark.parametrize("token_type", TYPES)
def test_an_expired_token_is_believed_only_where_that_is_asked_for(token_type: TokenType) -> None:
    token = TOKENS.sign(token_type, CLAIMS, in_minutes(-1))
    assert refused(token, token_type)
    assert TOKENS.read(token_type, token, expired_too=True) == CLAIMS


def test_a_token_without_a_signature_is_refused() -> None:
    good = TOKENS.sign("access", CLAIMS, in_minutes(1))
    _header, body, signature = good.split(".")
    for name in ("none", "None", "NONE", "nOnE"):
        header = part({"alg": name, "typ": "JWT"})
        assert refused(f"{header}.{body}.")
        assert refused(f"{header}.{body}.{signature}")
    assert refused(jwt.encode(payload(), None, algorithm="none"))
    assert refused(f"{_header}.{body}.")
    assert refused(f"{_header}.{body}")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_key_is_refused(algorithm: str) -> None:
    assert refused(jwt.encode(payload(), KEY, algorithm=algorithm))
    assert refused(make_tokens(algorithm=algorithm).sign("access", CLAIMS, in_minutes(1)))


def test_another_key_is_refused() -> None:
    assert refused(make_tokens(KEY[::-1]).sign("access", CLAIMS, in_minutes(1)))
    assert refused(jwt.encode(payload(), KEY[:-1], algorithm="HS256"), expired_too=True)


def test_a_key_that_a_token_brings_along_is_not_used() -> None:
    own = {"kty": "oct", "k": part(b"x" * 32)}
    for header in ({"jwk": own}, {"jku": "https://example.org/keys"}, {"kid": "../../dev/null"}):
        assert refused(jwt.encode(payload(), "x" * 32, algorithm="HS256", headers=header))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_changed_token_is_refused(index: int) -> None:
    parts = TOKENS.sign("access", CLAIMS, in_minutes(1)).split(".")
    for position in range(0, len(parts[index]) - 1, 5):
        changed = list(parts)
        letter = "A" if changed[index][position] != "A" else "B"
        changed[index] = changed[index][:position] + letter + changed[index][position + 1 :]
        assert refused(".".join(changed))


def test_other_claims_under_an_old_signature_are_refused() -> None:
    header, _body, signature = TOKENS.sign("access", CLAIMS, in_minutes(1)).split(".")
    assert refused(f"{header}.{part(payload(sub=str(uuid.uuid4())))}.{signature}")


@pytest.mark.parametrize(
    "changes",
    [
        *[{name: None} for name in ("sub", "sid", "typ", "exp", "iat")],
        {"sub": "budi"},
        {"sub": 5},
        {"sid": "x"},
        {"sid": 5},
        {"sid": []},
        {"typ": "ACCESS"},
        {"typ": ["access"]},
        {"exp": "tomorrow"},
        {"exp": 0},
        {"iat": 4102444800},
        {"nbf": 4102444800},
        {"nbf": "soon"},
        {"iat": "long ago"},
        {"aud": "another portal"},
        {"aud": ["satupeta"]},
    ],
    ids=str,
)
def test_a_signed_token_with_wrong_claims_is_refused(changes: dict[str, Any]) -> None:
    assert refused(jwt.encode({**payload(**changes)}, KEY, algorithm="HS256"))


@given(st.text() | st.binary().map(part) | st.lists(st.text().map(part), max_size=4).map(".".join))
def test_whatever_else_arrives_is_refused(text: str) -> None:
    assert refused(text)
    assert refused(text, expired_too=True)


def test_no_token_is_signed_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    with pytest.raises(StartError, match="SECRET_KEY"):
        Tokens(load_settings(None))


@pytest.mark.parametrize("token_type", TYPES)
def test_a_former_key_verifies_while_it_is_in_the_list_and_never_signs(
    token_type: TokenType,
) -> None:
    former, present, next_one = KEY, KEY[::-1], KEY[8:] + KEY[:8]
    old = make_tokens(former).sign(token_type, CLAIMS, in_minutes(1))
    rotated = make_tokens(present, "HS256", former)
    assert rotated.read(token_type, old) == CLAIMS
    new = rotated.sign(token_type, CLAIMS, in_minutes(1))
    assert make_tokens(present).read(token_type, new) == CLAIMS
    assert refused(new, token_type)
    twice = make_tokens(next_one, "HS256", present, former)
    assert twice.read(token_type, old) == twice.read(token_type, new) == CLAIMS
    after = make_tokens(next_one, "HS256", present)
    assert after.read(token_type, new) == CLAIMS
    with pytest.raises(NotAuthenticatedError):
        after.read(token_type, old)


def test_under_a_former_key_the_same_is_refused_as_under_the_present_one() -> None:
    rotated = make_tokens(KEY[::-1], "HS256", KEY)
    for changes in ({"exp": 1}, {"iat": 4102444800}, {"nbf": 4102444800}, {"typ": "refresh"}):
        token = jwt.encode(payload(**changes), KEY, algorithm="HS256")
        with pytest.raises(NotAuthenticatedError):
            rotated.read("access", token)
    for algorithm in ("HS384", "HS512"):
        with pytest.raises(NotAuthenticatedError):
            rotated.read("access", jwt.encode(payload(), KEY, algorithm=algorithm))
    with pytest.raises(NotAuthenticatedError):
        rotated.read("access", jwt.encode(payload(), None, algorithm="none"))


@pytest.mark.parametrize(
    "name", ["RS256", "ES256", "PS512", "EdDSA", "HS256 ", "hs256", "", None, 5]
)
def test_a_header_that_names_another_algorithm_is_refused_whatever_the_signature(
    name: Any,
) -> None:
    """The text is signed as HS256 would: only the header confuses."""
    signed = f"{part({'alg': name, 'typ': 'JWT'})}.{part(payload())}"
    signature = part(hmac.new(KEY.encode(), signed.encode(), hashlib.sha256).digest())
    assert refused(f"{signed}.{signature}")


def test_the_same_made_with_the_right_header_is_believed() -> None:
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(payload())}"
    signature = part(hmac.new(KEY.encode(), signed.encode(), hashlib.sha256).digest())
    assert TOKENS.read("access", f"{signed}.{signature}") == CLAIMS


@pytest.mark.parametrize(
    "old", ["x", '"text"', "{}", "[5]", '["weak"]', f'["{"x" * 40}"]', '["changeme"]', "[null]"]
)
def test_former_keys_that_cannot_be_or_are_weak_stop_the_start(old: str) -> None:
    with pytest.raises(StartError, match="SECRET_KEYS_OLD") as caught:
        load_settings(None, secret_key=SecretStr(KEY), secret_keys_old=SecretStr(old))
    assert old == "x" or old not in str(caught.value)


def test_former_keys_must_fit_the_algorithm() -> None:
    with pytest.raises(StartError, match="SECRET_KEYS_OLD"):
        make_tokens(KEY, "HS512", KEY[:40])
