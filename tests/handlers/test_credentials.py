"""Credentials: contract 6.7."""

from hypothesis import given
from hypothesis import strategies as st

from satupeta_server.database import database
from satupeta_server.models.credentials import Credential
from satupeta_server.security.encryption import Encryptor
from tests.conftest import Api
from tests.world import CREDENTIAL_SECRET

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ADMINISTRATOR = {"user": "administrator"}


async def column(statement: str) -> object:
    async def first(_database: object, cursor: object) -> object:
        return (await cursor.fetchone())[0]  # type: ignore[attr-defined]

    return await database.aio_execute_sql(statement, fetch_results=first)


async def test_secrets_are_encrypted_at_rest_and_read_by_administrators_with_a_record(
    api: Api,
) -> None:
    blanks = dict.fromkeys(
        ("created_by", "updated_by", "created_at", "updated_at", "last_used_at", "last_used_by"), ""
    )
    body = {"name": "Baru", "sensitive_data": {"key_1": "rahasia-sekali"}, **blanks}
    created = await api.post("/credentials", json_body=body, **ADMINISTRATOR)
    assert created.status == 201
    assert created.json["credential_metadata"] == {"environment": "", "version": ""}
    assert created.json["created_by"] == str(api.world.users["administrator"])
    assert b"rahasia-sekali" not in created.body
    stored = await column("SELECT string_agg(sensitive_data::text, ' ') FROM credentials")
    assert b"rahasia-sekali".hex() not in str(stored)
    path = f"/credentials/{created.json['id']}"
    read = await api.get(f"{path}/decrypted", **ADMINISTRATOR)
    assert read.json["decrypted_data"] == {"key_1": "rahasia-sekali"}
    assert read.headers["Cache-Control"] == "no-store"
    after = (await api.get(path, **ADMINISTRATOR)).json
    assert after["last_used_by"] == created.json["created_by"]
    assert after["revision"] == 1
    assert await column("SELECT count(*) FROM audit_log WHERE action = 'decrypt'") == 1


async def test_a_change_replaces_the_whole_secret(api: Api) -> None:
    path = f"/credentials/{api.world.credential_id}"
    same = {"sensitive_data": CREDENTIAL_SECRET, "last_used_at": "", "updated_by": ""}
    assert (await api.patch(path, json_body=same, **ADMINISTRATOR)).json["revision"] == 1
    new = {"sensitive_data": {"token": "baru"}, "credential_metadata": {"environment": "uji"}}
    assert (await api.patch(path, json_body=new, **ADMINISTRATOR)).json["revision"] == 2
    read = (await api.get(f"{path}/decrypted", **ADMINISTRATOR)).json
    assert read["decrypted_data"] == {"token": "baru"}
    assert read["credential_metadata"] == {"environment": "uji", "version": ""}
    wrong = await api.patch(path, json_body={"sensitive_data": {"a": 1}}, **ADMINISTRATOR)
    assert list(wrong.json["errors"]) == ["sensitive_data"]


async def test_a_secret_whose_key_is_gone_is_a_clean_error(api: Api) -> None:
    await database.aio_execute_sql("UPDATE credentials SET encryption_key_id = 'lost'")
    answer = await api.get(f"/credentials/{api.world.credential_id}/decrypted", **ADMINISTRATOR)
    assert answer.status == 503
    assert answer.json["code"] == "unavailable"


@given(st.dictionaries(TEXTS, TEXTS))
def test_what_is_encrypted_comes_back_under_its_context_only(values: dict[str, str]) -> None:
    encryptor = Encryptor({"2": bytes(32), "1": bytes(range(32))})
    older = Encryptor({"1": bytes(range(32))})
    key_id, sealed = older.encrypt(values, "credentials:a")
    assert encryptor.decrypt(key_id, sealed, "credentials:a") == values


async def test_a_secret_that_nobody_can_read_can_be_replaced(api: Api) -> None:
    body = {"name": "Hilang", "credential_type": "geoserver", "sensitive_data": {"a": "lama"}}
    made = (await api.post("/credentials", user="administrator", json_body=body)).json
    condition = Credential.id == made["id"]
    await Credential.update(encryption_key_id="lost").where(condition).aio_execute()
    path = f"/credentials/{made['id']}"
    new = {"sensitive_data": {"a": "baru"}}
    assert (await api.patch(path, user="administrator", json_body=new)).status == 200
    read = await api.get(f"{path}/decrypted", user="administrator")
    assert read.json["decrypted_data"] == {"a": "baru"}
