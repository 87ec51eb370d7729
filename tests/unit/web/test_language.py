"""The pages' languages: which is chosen, what is marked, and whether catalogs are current."""

import re
from collections.abc import Iterator
from datetime import date
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2 import nodes
from starlette.datastructures import Headers

from cadnode.domain import SKIP_MEANINGS
from cadnode.node.health import set_aside_problems
from cadnode.node.poison import SetAsideCode
from cadnode.phrases import nphrase, phrase
from cadnode.web import language
from cadnode.web.choice import language_of
from cadnode.web.language import NAMES, Language, answering_in, current
from cadnode.web.locale import update
from cadnode.web.locale.hints import HINTS
from cadnode.web.prior_exams import PriorExam, PriorState, interval_words
from cadnode.web.study import DELIVERY_MEANINGS, State
from cadnode.web.templating import Templates
from cadnode.web.words import WORDS
from tests.unit.web import test_outcome_pages, test_quality_page
from tests.web_cases import UID, Told, known, nobody_known, served

TEMPLATES = sorted(
    path
    for folder in ("cadnode.web", "cadnode.html")
    for path in (Path(str(files(folder))) / "templates").glob("*.jinja")
)
SHOWN = frozenset({"title", "aria-label", "data-label", "placeholder", "alt"})
NAMED = frozenset({"cadnode"})  # names are the same in every language
ALIKE = frozenset({"cadnode", "archive", "Jane", "Roe", "C", "W", "PDF", "TLS", "AUC", "DICOM"})


@pytest.mark.parametrize(
    ("cookie", "accepted", "chosen"),
    [
        ("lang=ja", "de", "ja"),
        ("lang=xx", "de", "de"),
        ("", "fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("", "en;q=0.5, es;q=0.7", "es"),
        ("", "it, pt;q=0.8, de;q=0.1", "de"),
        ("", "de;q=0, it", "en"),
        ("", "de;q=high", "en"),
        ("", "*", "en"),
        ("", "", "en"),
    ],
)
def test_a_choice_counts_before_the_browser_and_that_before_the_setting(
    cookie: str, accepted: str, chosen: str
) -> None:
    headers = Headers({"cookie": cookie, "accept-language": accepted})
    assert language_of(headers, "en") == chosen


def test_the_setting_decides_where_nothing_else_does() -> None:
    assert language_of(Headers({}), "fr") == "fr"


def test_a_reader_chooses_a_language_and_returns_to_the_page() -> None:
    with served(Told(), nobody_known()) as client:
        german = client.get("/?state=done", accept_language="de-AT,de;q=0.9")
        assert '<html lang="de">' in german.text
        assert german.headers["content-language"] == "de"
        assert {"Cookie", "Accept-Language"} <= set(german.headers["vary"].split(", "))
        assert '<input type="hidden" name="next" value="/?state=done">' in german.text
        assert [*re.findall(r'<option value="(\w\w)" lang="\1"', german.text)] == list(NAMES)
        done = client.send("/language", {"lang": "ja", "next": "/models"})
        assert done.status_code == 303
        assert done.headers["location"] == "/models"
        assert "SameSite=lax" in done.headers["set-cookie"]
        assert '<html lang="ja">' in client.get("/", accept_language="de").text
        client.send("/language", {"lang": "xx", "next": "//elsewhere.example"})
        assert '<html lang="ja">' in client.get("/").text


def test_no_choice_leads_to_another_site_and_none_comes_from_one() -> None:
    with served(Told(), nobody_known()) as client:
        away = client.send("/language", {"lang": "de", "next": "//elsewhere.example"})
        assert away.headers["location"] == "/"
        foreign = client.send("/language", {"lang": "de"}, sec_fetch_site="cross-site")
        assert foreign.status_code == 403


def test_the_log_in_and_refusals_are_in_the_readers_language_and_the_api_is_not() -> None:
    with served(Told(), known()) as client, pseudo("de"):
        page = client.get("/login", accept_language="de").text
        assert '<html lang="de">' in page
        assert "⟦Log in⟧" in page
        answer = client.get("/api/studies", accept_language="de")
    assert answer.status_code == 401
    assert answer.json()["error"] == "it is not known who asks"


def test_the_texts_of_scripts_are_data_that_no_policy_blocks() -> None:
    spoken = Language(
        "fr", {("", "Four views"): ("</script>",)}, "(n > 1)", frozenset({"Four views"})
    )
    assert "</script>" not in spoken.for_scripts()
    assert '"forms": [0, 0, 1]' in spoken.for_scripts()
    with served(Told(), nobody_known()) as client:
        page = client.get("/").text
    assert page.index('<script type="application/json" id="texts">') < page.index("/static/texts")


def test_a_phrase_is_english_and_keeps_what_translates_it() -> None:
    spoken = Language(
        "de",
        {
            ("", "waiting for %(names)s"): ("wartet auf %(names)s",),
            ("", "%(a)s and %(b)s"): ("%(a)s und %(b)s",),
            ("", "%(n)s day"): ("%(n)s Tag", "%(n)s Tage"),
        },
        "(n != 1)",
    )
    names = phrase("%(a)s and %(b)s", a="RCC", b="LCC")
    assert phrase("waiting for %(names)s", names=names) == "waiting for RCC and LCC"
    assert spoken.said(phrase("waiting for %(names)s", names=names)) == "wartet auf RCC und LCC"
    assert nphrase("%(n)s day", "%(n)s days", 1) == "1 day"
    assert spoken.said(nphrase("%(n)s day", "%(n)s days", 2)) == "2 Tage"
    assert spoken.said(phrase("%(n)s of it", n=2)) == "2 of it"


def test_what_stands_in_a_sentence_is_translated_with_it() -> None:
    (problem,) = set_aside_problems([("0" * 16, SetAsideCode.KILLS)])
    assert problem.meaning == f"{SetAsideCode.KILLS.meaning}: 1"
    german = language.language("de")
    assert SetAsideCode.KILLS.meaning not in german.said(problem.meaning)
    day = date(2026, 3, 4)
    words = interval_words(day, day)
    prior = PriorExam("0" * 16, PriorState.HERE, study_date=day, interval=words)
    assert "same day" not in german.said(prior.label)


def test_numbers_and_times_to_wait_are_the_languages_own() -> None:
    assert Language("de").number(0.857, 2) == "0,86"
    assert Language("ja").number(0.857, 2) == "0.86"
    assert Language("en").number(1234567) == "1234567"
    assert Language("fr").duration(30) == "30\xa0secondes"
    assert Language("en").duration(91) == "2 minutes"
    assert Language("en").duration(0.2) == "1 second"


def test_a_value_in_a_message_is_escaped() -> None:
    text = Templates()._templates.from_string("{% trans who=who %}by {{ who }}{% endtrans %}")
    assert text.render(who="<b>") == "by &lt;b&gt;"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_text_of_a_template_is_marked(path: Path) -> None:
    tree = Templates()._templates.parse(path.read_text("utf-8"))
    reader = _Texts()
    reader.feed("".join(_data(tree)))
    reader.close()
    assert [text for text in reader.found if text not in NAMED] == []


def test_a_text_that_is_not_marked_is_found() -> None:
    for source in ("<p>Hello</p>", '<a title="Hello {{ x }}">', "{% if x %}Hello{% endif %}"):
        reader = _Texts()
        reader.feed("".join(_data(Templates()._templates.parse(source))))
        assert reader.found == ["Hello"]


def test_a_page_in_a_language_of_brackets_has_no_word_outside_them() -> None:
    with pseudo("de"), served(Told(), nobody_known()) as client:
        for path in (
            "/", "/needs-you", "/upload", f"/studies/{UID}", "/?state=nonsense", "/destinations",
            "/settings",
        ):  # fmt: skip
            page = client.get(path, accept_language="de").text
            assert "⟦" in page
            assert _outside(page) == set(), path


def test_pages_of_quality_in_a_language_of_brackets_have_only_names_outside_them() -> None:
    told, named = test_quality_page.told(), {one.lower() for one in _named_there()}
    told.outcomes = test_outcome_pages.told().outcomes
    with pseudo("de"), served(told, nobody_known()) as client:
        for path in ("/quality", "/quality/outcomes"):
            page = client.get(path, accept_language="de").text
            assert page.count("⟦") > 20
            assert {word.lower() for word in _outside(page)} <= named


def _named_there() -> set[str]:
    """Scanners, systems, models and view positions."""
    stated = "GE HOLOGIC MG DIMENSIONS SELENIA PRISTINA SENOGRAPHE CC MLO dib kim"
    return set(stated.split())


def test_every_word_of_a_state_has_a_message() -> None:
    words = {*(state.value for state in State), *DELIVERY_MEANINGS}
    assert {word.replace("_", " ") for word in words} <= set(WORDS)


def test_the_catalogs_have_the_messages_of_the_code() -> None:
    wrong = [path.name for path, text in update.wanted().items() if path.read_bytes() != text]
    assert wrong == [], "run python -m cadnode.web.locale.update"
    messages = {str(message.id) for message in update.template()}
    assert set(SKIP_MEANINGS.values()) <= messages
    ones = {m.id[0] if isinstance(m.id, tuple) else m.id for m in update.template()}
    assert set(HINTS) <= ones


@pytest.mark.parametrize("code", [code for code in NAMES if code != "en"])
def test_translations_keep_placeholders_and_tags(code: str) -> None:
    with update.path_of(code).open("rb") as file:
        catalog = read_po(file, locale=code)
    assert not any(message.fuzzy for message in catalog)
    assert _faults(catalog) == []


def test_a_translation_that_loses_something_is_found() -> None:
    catalog = Catalog("de")
    catalog.add("%(n)s of <b>it</b>", "%(m)s davon")
    catalog.add("by %(n)s", 'von "%(n)s"')
    catalog.add(("%(n)s day", "%(n)s days"), ("%(n)s Tag", "%(n)s Tage"))
    assert len(_faults(catalog)) == 2


def _faults(catalog: Catalog) -> list[str]:
    found = []
    for message in catalog:
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        if not ids[0] or not any(forms):
            continue
        wanted = {name for one in ids for name in _placed(one)}
        for form in forms:
            extra, lost = _placed(form) - wanted, wanted - _placed(form)
            tags = _tags(form) != _tags(ids[-1])
            quoted = '"' in re.sub(r"<[^>]*>", "", form)
            if extra or (lost and lost != {"n"}) or tags or quoted or _bad_percent(form):
                found.append(f"{ids[0]!r}: {form!r}")
    return found


def _placed(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", text))


def _tags(text: str) -> list[str]:
    return sorted(re.findall(r"<[^>]*>", text))


def _bad_percent(text: str) -> bool:
    """A per cent sign alone, in a message whose placeholders are filled."""
    return bool(_placed(text)) and "%" in re.sub(r"%\(\w+\)s|%%", "", text)


class _Pseudo(Language):
    """Every message in brackets."""

    def text(self, message: str, context: str = "") -> str:
        return f"⟦{message}⟧"

    def plural_text(self, one: str, many: str, n: int, context: str = "") -> str:
        return f"⟦{one if n == 1 else many}⟧"


class pseudo:
    """Let a language be one of brackets."""

    def __init__(self, code: str) -> None:
        self._patch = pytest.MonkeyPatch()
        self._spoken = _Pseudo(code)

    def __enter__(self) -> None:
        self._patch.setattr("cadnode.web.choice.language", lambda code: self._spoken)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_what_is_rendered_outside_a_request_is_english() -> None:
    assert current().code == "en"
    with answering_in(language.language("de")):
        assert current().code == "de"
    assert current().code == "en"


def _data(node: nodes.Node) -> Iterator[str]:
    """A template's own text; what is not, as a mark that is no letter."""
    inner = node.nodes if isinstance(node, nodes.Output) else node.iter_child_nodes()
    for one in inner:
        if isinstance(one, nodes.TemplateData):
            yield one.data
        elif isinstance(one, nodes.Expr):
            yield "\0"
        else:
            yield from _data(one)


class _Texts(HTMLParser):
    """Texts with letters in HTML: what people read or hear, without code and keys."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("input", "img", "link", "meta", "br"):
            self._open.append(tag)
        for name, value in attrs:
            if name in SHOWN and value:
                self._take(value)

    def handle_endtag(self, tag: str) -> None:
        while tag in self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"code", "kbd", "script", "style"} & set(self._open):
            self._take(data)

    def _take(self, text: str) -> None:
        for part in re.split(r"[\0\n]| {2,}", text):
            word = part.strip(" .,:;()…–—·%")
            if re.search(r"[A-Za-z]{2}", word) and "<" not in word and "=" not in word:
                self.found.append(word)


def _outside(page: str) -> set[str]:
    """Words of a page that stand outside of the brackets."""
    reader = _Texts()
    reader.feed(_unbracketed(re.sub(r"<select id=.language.*?</select>", "", page, flags=re.S)))
    words = {word for text in reader.found for word in re.findall(r"[A-Za-z]{2,}", text)}
    return words - ALIKE


def _unbracketed(page: str) -> str:
    while "⟦" in page and (rest := re.sub(r"⟦[^⟦⟧]*⟧", "\0", page)) != page:
        page = rest
    return page
