"""The search over everything, and what a search box suggests."""

import asyncio
import html
import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as settings_of_examples
from hypothesis import strategies as st
from peewee_async.databases import fetchall
from tornado.platform.asyncio import AsyncIOLoop

from satupeta_server.database import Database, database
from satupeta_server.queries.vocabulary import LONGEST_QUERY, MOST_WORDS, read_terms
from satupeta_server.representations.highlights import fragment, highlighted, without_tags
from satupeta_server.services import search as services_search
from satupeta_server.services import suggestions as services_suggestions
from satupeta_server.settings import Settings
from tests.cli.program import DONE, Program
from tests.conftest import Answer, Api
from tests.world import EAST_JAVA

GROUPS = ("mapsets", "organizations", "categories", "news", "regionals")


async def search(api: Api, text: str, **arguments: Any) -> dict[str, Any]:
    answer = await api.get("/search", q=text, **arguments)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


async def found(api: Api, group: str, text: str, **arguments: Any) -> list[str]:
    """The names that a search finds in one group."""
    hits = (await search(api, text, **arguments))[group]
    return [hit["name"] for hit in hits["items"]]


async def suggested(api: Api, text: str, **arguments: Any) -> list[tuple[str, str]]:
    """Kinds and texts of the suggestions."""
    answer = await api.get("/search/suggest", q=text, **arguments)
    assert answer.status == 200, answer.body
    return [(one["kind"], one["text"]) for one in answer.json["items"]]


async def make(api: Api, path: str, name: str, **fields: Any) -> dict[str, Any]:
    answer = await api.post(path, user="administrator", json_body={"name": name, **fields})
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


async def test_one_answer_holds_the_hits_of_all_groups(api: Api) -> None:
    mapset = await api.make_public_mapset(name="Sebaran Mangrove", description="Hutan pesisir.")
    organization = await make(api, "/organizations", "Balai Mangrove")
    category = await make(api, "/categories", "Ekosistem Mangrove")
    news = await make(api, "/news", "Mangrove ditanam", description="<p>Seribu bibit</p>")
    region = await make(api, "/regionals", "Kabupaten Mangrove", code="35.99", parent_id=EAST_JAVA)
    answer = await search(api, "mangrove")
    assert tuple(answer) == GROUPS
    for group, made in zip(GROUPS, (mapset, organization, category, news, region), strict=True):
        hits = answer[group]
        assert [hit["id"] for hit in hits["items"]] == [made["id"]], group
        assert (hits["total"], hits["total_is_exact"]) == (1, True)
    (hit,) = answer["mapsets"]["items"]
    assert hit["producer_name"] == mapset["producer"]["name"]
    assert hit["category_name"] == mapset["category"]["name"]
    assert hit["regional_name"] == mapset["regional"]["name"]
    (hit,) = answer["regionals"]["items"]
    assert (hit["code"], hit["level"], hit["parent_name"]) == ("35.99", "kabupaten", "Jawa Timur")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("jaln", "Jaringan Jalan"),
        ("jalam", "Jaringan Jalan"),
        ("JALAN", "Jaringan Jalan"),
        ("jalan,", "Jaringan Jalan"),
        ("jalan jaringan", "Jaringan Jalan"),
        ("jalan", "Rute Perjalanan"),
        ("jalan ", "Rute Perjalanan"),
        ("berjalan", "Rute Perjalanan"),
        ("perjalanan", "Jaringan Jalan"),
        ("jarin", "Jaringan Jalan"),
        ("jalan jarin", "Jaringan Jalan"),
        ("yang dari jalan dan jaringan di", "Jaringan Jalan"),
        ("jalan untuk", "Jaringan Jalan"),
        ("kediri", "Batas Kédiri"),
        ("KÉDIRI", "Batas Kédiri"),
        ("kediry batas", "Batas Kédiri"),
        ("rute-perjalanan", "Rute Perjalanan"),
        ("rute/perjalanan?!", "Rute Perjalanan"),
    ],
)
async def test_words_are_found_by_stem_by_beginning_and_with_errors(
    api: Api, text: str, name: str
) -> None:
    for made in ("Jaringan Jalan", "Rute Perjalanan", "Batas Kédiri"):
        await make(api, "/categories", made, description="Uraian.")
    assert name in await found(api, "categories", text)


@pytest.mark.parametrize("word", ["bogor", "mataram"])
async def test_a_word_is_found_with_any_one_letter_wrong_missing_added_or_exchanged(
    api: Api, word: str
) -> None:
    await make(api, "/categories", f"Batas ({word.title()}).", description="Uraian.")
    mistyped = set()
    for place in range(len(word) + 1):
        before, after = word[:place], word[place:]
        mistyped |= {
            before + "x" + after,
            before + after[1:],
            before + "x" + after[1:],
            before + after[1:2] + after[:1] + after[2:],
        }
    for text in sorted(mistyped):
        assert await found(api, "categories", f"{text} ") == [f"Batas ({word.title()})."], text


@pytest.mark.parametrize(
    "text",
    ["btaas bgoor ", "batas utnuk bogor ", "batas drai", "kelurhaan bogor ", "pemda bgoor "],
)
async def test_each_of_several_words_may_be_mistyped_stop_words_too(api: Api, text: str) -> None:
    description = "<h2>Untuk dan dari</h2><p>Desa/Kelurahan</p><p>Pemda Bogor</p>"
    await make(api, "/news", "Batas Bogor", description=description)
    await make(api, "/news", "Bogor", description="<p>Desa</p>")
    assert await found(api, "news", text) == ["Batas Bogor"]
    await suggested(api, text)


async def test_another_number_is_never_meant(api: Api) -> None:
    await make(api, "/categories", "Tahun 2021", description="35.78")
    assert await found(api, "categories", "tahun 2031 ") == []
    assert await found(api, "categories", "35.79 ") == []
    assert await found(api, "categories", "tahnu 2021 ") == ["Tahun 2021"]


async def test_a_very_long_word_is_compared_without_an_error(api: Api) -> None:
    long = "a" * 400
    for pair in ((long, "bogor"), ("bogor", long), (long, long)):
        rows = await database.aio_execute_sql("SELECT is_misspelled(%s, %s)", pair, fetchall)
        assert rows == [(False,)]


async def test_of_words_spelled_alike_those_with_one_error_are_meant(api: Api) -> None:
    for name in ("Bagor", "Begor", "Bogor"):
        await make(api, "/categories", name, description="Uraian.")
    assert await found(api, "categories", "bgoor ") == ["Bogor"]


@pytest.mark.parametrize("text", ["jalan kediri", "jalan qqqqq", "qqqqq", "yang ", "dan di ke "])
async def test_what_does_not_fit_is_not_found(api: Api, text: str) -> None:
    await make(api, "/categories", "Jaringan Jalan", description="Yang dan di ke.")
    await make(api, "/categories", "Kediri")
    assert await found(api, "categories", text) == []


@pytest.mark.parametrize("text", ["", " ", "\t\n", "a" * (LONGEST_QUERY + 1)])
@pytest.mark.parametrize("path", ["/search", "/search/suggest"])
async def test_a_blank_or_very_long_text_is_refused(api: Api, path: str, text: str) -> None:
    answer = await api.get(path, q=text)
    assert answer.status == 422
    assert list(answer.json["errors"]) == ["q"]
    assert (await api.get(path)).status == 422


@pytest.mark.parametrize("path", ["/search", "/search/suggest"])
async def test_a_limit_that_is_none_is_refused(api: Api, path: str) -> None:
    for limit in ("x", "-1", "1.5", "9" * 30):
        answer = await api.get(path, q="batas", limit=limit)
        assert answer.status == 422, limit
        assert list(answer.json["errors"]) == ["limit"]
    assert (await api.get(path, q="batas", limit=10**9)).status == 200


async def test_only_signs_find_nothing(api: Api) -> None:
    for text in ("&|!():*", "' -- ;", "%", "_", "\\", "." * LONGEST_QUERY, "…", "<>"):
        answer = await search(api, text)
        assert all(answer[group]["items"] == [] for group in GROUPS), text
        assert await suggested(api, text) == [], text


async def test_what_has_the_words_in_its_name_comes_first_then_the_newest(api: Api) -> None:
    for name, description in (
        ("Sawah Beririgasi", "Uraiannya."),
        ("Lahan", "Sawah beririgasi"),
        ("Sawah", "Uraian beririgasi."),
        ("Sawah Beririgasi Baru", "Uraiannya."),
    ):
        await api.make_public_mapset(name=name, description=description)
    ordered = ["Sawah Beririgasi Baru", "Sawah Beririgasi", "Sawah", "Lahan"]
    assert await found(api, "mapsets", "sawah beririgasi") == ordered
    answer = (await search(api, "sawah beririgasi", limit=2))["mapsets"]
    assert [hit["name"] for hit in answer["items"]] == ordered[:2]
    assert answer["total"] == 4
    counted = (await search(api, "sawah", limit=0))["mapsets"]
    assert (counted["items"], counted["total"]) == ([], 4)


async def test_of_words_that_very_many_have_the_newest_are_found(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await api.make_public_mapset(name=f"Tematik {number}") for number in range(4)]
    monkeypatch.setattr(services_search, "are_common", lambda _found: True)
    newest = [mapset["id"] for mapset in made[::-1]]
    for enough, is_exact in ((4, False), (5, True)):
        monkeypatch.setattr(services_search, "ENOUGH", enough)
        hits = (await search(api, "tematik"))["mapsets"]
        assert [hit["id"] for hit in hits["items"]] == newest
        assert (hits["total"], hits["total_is_exact"]) == (4, is_exact)
    monkeypatch.setattr(services_suggestions, "are_common", lambda _found: True)
    assert [text for _, text in await suggested(api, "tematik 3 wilayah")] == ["Tematik 3"]


async def test_more_matches_than_are_ranked_are_not_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services_search, "MOST_RANKED", 2)
    for number in range(3):
        await make(api, "/categories", f"Tematik {number}")
    hits = (await search(api, "tematik"))["categories"]
    assert (hits["total"], hits["total_is_exact"]) == (2, False)


async def test_higher_regions_come_first(api: Api) -> None:
    await make(api, "/regionals", "Sukarame", code="35.98.01.1001")
    await make(api, "/regionals", "Kabupaten Sukarame", code="35.98")
    await make(api, "/regionals", "Sukarame", code="35.98.01")
    hits = (await search(api, "sukarame"))["regionals"]["items"]
    assert [hit["level"] for hit in hits] == ["kabupaten", "kecamatan", "desa"]
    assert [hit["code"] for hit in (await search(api, "35.98"))["regionals"]["items"]] == [
        hit["code"] for hit in hits
    ]


async def test_highlights_mark_what_was_found_as_it_is_written(api: Api) -> None:
    await make(
        api,
        "/categories",
        "Batas Kédiri <b>tebal</b>",
        description="A & B " * 60 + "Jalan kédiri, <script>alert(1)</script>" + " dan lain" * 60,
    )
    (hit,) = (await search(api, "kediri"))["categories"]["items"]
    highlights = hit["highlights"]
    assert highlights["name"] == "Batas <mark>Kédiri</mark> &lt;b&gt;tebal&lt;/b&gt;"
    assert "Jalan <mark>kédiri</mark>, &lt;script&gt;" in highlights["description"]
    assert len(html.unescape(highlights["description"])) < 240
    assert highlights["description"].startswith("… ")
    assert highlights["description"].endswith(" …")


async def test_highlights_of_news_are_its_text(api: Api) -> None:
    body = "<p>Banjir &amp; longsor</p><p>di <strong>Kediri</strong> 1 &lt; 2 &lt;img src=x&gt;</p>"
    await make(api, "/news", "Berita", description=body)
    (hit,) = (await search(api, "longsor kediri"))["news"]["items"]
    assert hit["highlights"]["description"] == (
        "Banjir &amp; <mark>longsor</mark> di <mark>Kediri</mark> 1 &lt; 2 &lt;img src=x&gt;"
    )


async def test_everybody_finds_what_the_lists_show_them(api: Api) -> None:
    public = await api.make_public_mapset(name="Terumbu Terbuka")
    draft = await api.make_mapset(name="Terumbu Konsep")
    secret = await api.make_public_mapset(
        name="Terumbu Rahasia", classification_id=api.world.classifications["secret"]
    )
    await make(api, "/news", "Terumbu aktif")
    hidden = await make(api, "/news", "Terumbu nonaktif", is_active=False)
    everything = {public["id"], draft["id"], secret["id"]}
    expected = {
        None: {public["id"]},
        "viewer": {public["id"]},
        "pengelola_lain": {public["id"]},
        "pengelola": everything,
        "walidata": everything,
        "administrator": everything,
    }
    for user, ids in expected.items():
        answer = await search(api, "terumbu", user=user)
        assert {hit["id"] for hit in answer["mapsets"]["items"]} == ids, user
        assert answer["mapsets"]["total"] == len(ids)
        articles = {hit["id"] for hit in answer["news"]["items"]}
        assert (hidden["id"] in articles) == (user not in (None, "viewer")), user
        names = dict.fromkeys(text for _, text in await suggested(api, "terumbu", user=user))
        assert "Terumbu Terbuka" in names
        assert not {"Terumbu Konsep", "Terumbu Rahasia", "Terumbu nonaktif"} & set(names), user


async def test_words_of_what_is_hidden_are_not_suggested(api: Api) -> None:
    before = await suggested(api, "sangk")
    await api.make_mapset(name="Konsep", description="Sangkuriang")
    await api.make_public_mapset(
        name="Rahasia",
        description="Sangkutannya.",
        classification_id=api.world.classifications["secret"],
    )
    assert await suggested(api, "sangk") == before
    await api.make_public_mapset(name="Terbuka", description="Sangkakala")
    assert await suggested(api, "sangk", user="pengelola") == [("word", "sangkakala")]


async def test_what_is_deleted_is_neither_found_nor_suggested(api: Api) -> None:
    before = await search(api, "hilang"), await suggested(api, "hilang")
    mapset = await api.make_public_mapset(name="Hilang Selamanya", description="Tanpa uraian.")
    article = await make(api, "/news", "Hilang kabar")
    assert len(await suggested(api, "hilang")) == 2
    await api.delete(f"/mapsets/{mapset['id']}", user="walidata")
    await api.delete(f"/news/{article['id']}", user="walidata")
    assert (await search(api, "hilang"), await suggested(api, "hilang")) == before
    assert await search(api, "hilang", user="administrator") == before[0]


async def test_a_beginning_finds_all_words_that_begin_so(api: Api) -> None:
    for page in range(3):
        words = " ".join(f"karang{number}" for number in range(60 * page, 60 * page + 60))
        await make(api, "/news", f"Daftar {page}", description=words)
    await api.make_public_mapset(name="Karanganyarpanjang", description="Tanpa uraian.")
    assert await found(api, "mapsets", "karang") == ["Karanganyarpanjang"]
    answer = await search(api, "karang")
    assert (answer["news"]["total"], answer["news"]["total_is_exact"]) == (3, True)


async def test_who_finds_not_all_words_says_that_there_may_be_more(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services_search, "MOST_ALTERNATIVES", 2)
    for name in ("Karang", "Karanga", "Karangan"):
        await make(api, "/categories", name)
    hits = (await search(api, "karan"))["categories"]
    assert (hits["total"], hits["total_is_exact"]) == (2, False)
    assert (await search(api, "karanga "))["categories"]["total_is_exact"]


async def test_words_of_what_is_hidden_neither_help_nor_hinder_a_search(api: Api) -> None:
    await api.make_public_mapset(name="Sebaran sekolah", description="Pendidikan")
    expected = await search(api, "seklah")
    assert [hit["name"] for hit in expected["mapsets"]["items"]] == ["Sebaran sekolah"]
    suggestions = await suggested(api, "seklah")
    assert suggestions != []
    nearer = " ".join(f"seklah{letter}" for letter in string.ascii_lowercase + ".,:;!?()")
    await api.make_mapset(name="Konsep seklah", description=f"Uraian sekolaah {nearer}")
    deleted = await make(api, "/news", "Kabar seklah")
    await api.delete(f"/news/{deleted['id']}", user="walidata")
    assert await search(api, "seklah") == expected
    assert await suggested(api, "seklah") == suggestions
    own = await search(api, "seklah", user="pengelola")
    assert [hit["name"] for hit in own["mapsets"]["items"]] == ["Konsep seklah"]


async def test_a_mistyped_word_that_stands_in_no_name_is_not_suggested(api: Api) -> None:
    await make(api, "/news", "Kabar", description="<p>Tanggapbencana</p>")
    async with asyncio.timeout(5):
        assert await suggested(api, "tangapbencana ") == []
    assert await found(api, "news", "tangapbencana ") == ["Kabar"]


async def test_a_changed_name_is_found_by_its_new_words(api: Api) -> None:
    made = await make(api, "/categories", "Lama")
    path = f"/categories/{made['id']}"
    assert (await api.patch(path, user="administrator", json_body={"name": "Zamrud"})).status == 200
    assert await found(api, "categories", "zamrud") == ["Zamrud"]


async def test_what_was_imported_is_found(api: Api, settings: Settings, tmp_path: Path) -> None:
    program = Program(settings, tmp_path)
    rows = tmp_path / "organizations.csv"
    rows.write_text("name\nBalai Restorasi Gambut\n", encoding="utf-8")
    program("import", "organizations", str(rows), code=DONE)
    assert await found(api, "organizations", "restorsi gambu") == ["Balai Restorasi Gambut"]
    assert ("organization", "Balai Restorasi Gambut") in await suggested(api, "gamb")


async def test_suggestions_are_names_from_their_beginning_then_by_words_then_words(
    api: Api,
) -> None:
    await api.make_public_mapset(name="Zonasi Laut", description="Zonasilama.")
    await make(api, "/categories", "zonasi darat")
    await make(api, "/organizations", "Kantor Zonasi")
    await api.make_public_mapset(name="Lain", description="Zonasilama zonasi")
    assert await suggested(api, "Zonas") == [
        ("mapset", "Zonasi Laut"),
        ("category", "zonasi darat"),
        ("organization", "Kantor Zonasi"),
        ("word", "zonasi"),
        ("word", "zonasilama"),
    ]
    assert await suggested(api, "Zonas", limit=2) == [
        ("mapset", "Zonasi Laut"),
        ("category", "zonasi darat"),
    ]
    assert ("category", "zonasi darat") in await suggested(api, "zonsi dart")


async def test_suggestions_take_signs_of_patterns_for_what_they_are(api: Api) -> None:
    await make(api, "/categories", "100% Uji")
    await make(api, "/categories", "1000 Uji")
    assert await suggested(api, "100%", limit=1) == [("category", "100% Uji")]
    assert ("category", "1000 Uji") not in await suggested(api, "1_0", limit=20)


async def test_names_that_are_alike_are_suggested_once(api: Api) -> None:
    for _ in range(3):
        await api.make_public_mapset(name="Kembar Tiga")
    assert await suggested(api, "kembar") == [("mapset", "Kembar Tiga")]


async def test_a_search_takes_two_statements(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    original = Database.aio_execute_sql

    async def counting(self: Any, sql: str, *arguments: Any, **named: Any) -> Any:
        statements.append(sql)
        return await original(self, sql, *arguments, **named)

    monkeypatch.setattr(Database, "aio_execute_sql", counting)
    await search(api, "jawa timur")
    assert len(statements) == 2
    statements.clear()
    await suggested(api, "jawa timur", limit=1)
    assert len(statements) == 1


def test_a_text_is_taken_apart() -> None:
    assert read_terms("Peta  jalan, dan 35.78.01 ").words == ("peta", "jalan", "35.78.01")
    assert not read_terms("jalan ").is_open
    assert read_terms("sungai jal").is_open
    assert not read_terms("sungai dan").is_open
    assert read_terms("di").words == ("di",)
    assert read_terms("yang di").words == ()
    assert len(read_terms("kata " * 40).words) == MOST_WORDS


@given(st.text(max_size=400), st.sets(st.text("abé.<&'\"x", min_size=1), max_size=4))
def test_a_highlight_has_no_tag_but_mark(text: str, words: set[str]) -> None:
    for shown in (text, fragment(text, words), without_tags(text)):
        marked = highlighted(shown, words)
        tags = re.findall(r"<[^>]*>?", marked)
        assert set(tags) <= {"<mark>", "</mark>"}
        assert html.unescape(re.sub("</?mark>", "", marked)) == html.unescape(html.escape(shown))


def test_any_text_is_answered_or_refused(api: Api, io_loop: AsyncIOLoop) -> None:
    body = {"name": "<b>Tebal</b> & \"kutip\" 'satu'", "description": "<i>miring</i> & tebal"}
    io_loop.run_sync(
        lambda: make(api, "/categories", body["name"], description=body["description"])
    )

    async def ask(text: str) -> None:
        for path in ("/search", "/search/suggest"):
            answer = await api.get(path, q=text)
            assert answer.status in (200, 422)
            if answer.status == 200 and path == "/search":
                check_tags(answer)

    @settings_of_examples(max_examples=60)
    @given(
        st.one_of(
            st.text(st.characters(exclude_categories=("Cs",)), max_size=260),
            st.text("tebalkuip <>&|!():*'\"\\%_.-", max_size=40),
            st.text("&|!():*.,;", min_size=LONGEST_QUERY, max_size=LONGEST_QUERY),
        )
    )
    @example("a\0b")
    @example("(a+)+$" * 30)
    @example("½ ％ ﬁ ß \ud7ff \uffff")
    @example("a." * 127)
    def check(text: str) -> None:
        io_loop.run_sync(lambda: ask(text))

    check()


async def test_bytes_that_are_no_text_are_refused(api: Api) -> None:
    for sent in ("%FF", "%ED%A0%80", "%00"):
        for path in ("/search", "/search/suggest"):
            assert (await api.get(f"{path}?q={sent}")).status in (400, 422)


def check_tags(answer: Answer) -> None:
    """See that no highlight has a tag but mark."""
    for group in GROUPS:
        for hit in answer.json[group]["items"]:
            for shown in hit["highlights"].values():
                tags = re.findall(r"<[^>]*>?", shown or "")
                assert set(tags) <= {"<mark>", "</mark>"}
