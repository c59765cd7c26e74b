"""Pages and message catalogues use the terms of docs/reference/glossary.md, in English and in Japanese."""

import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest

from mekiki.web import catalogues

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs/reference/glossary.md"

# Terms that the glossary replaced.
OLD_ENGLISH = re.compile(
    r"\b(opinions?|taught|slips?|evenness|text directions?|agreement of (?:the|a) head)\b", re.IGNORECASE
)
# Verification reports name the field `opinions` of a label set, whose format stays.
FIELD_NAMES = {"late or opinions is missing", "opinions is no number"}
# Counts of predicted images. As a title of a column the term is 予測.
PREDICTED_COUNTS = {"templates/web/home.html", "platform/mekiki/web/views/datasets.py"}

# Other Japanese terms that are right, with the meaning of the English term in that message.
OTHER_JAPANESE = {
    "head": ("照合値",),  # the head of the chain of seals
    "archive": ("圧縮ファイル",),  # a zip file
    "certificate": ("証明書",),  # of an authority for time stamps
    "image": ("枚",),  # the counter of images
    "embedding": ("埋め込",),  # the verb
    "import": ("取り込",),  # the verb
    "undo": ("取り消",),  # the verb
    "interval": ("区間",),  # short for 信頼区間
    "pixel window": ("表示範囲",),  # short for 画素値の表示範囲
}
# Beginnings of messages whose Japanese sentence is clear without the noun.
WITHOUT_NOUN = {
    "head": (
        "%(n)s image was drawn at random",
        "%(n)s images were drawn at random",
        "Leave empty for people’s labels only.",
        "When heads are retrained",
    ),
    "encoder": (
        "%(name)s is ready to replace the encoder in use",
        "Accuracy: on the same %(n)s audited images",
        "An admin compares it with the encoder in use",
        "Switch over to %(name)s?",
        "The model that reads images and prompts.",
        "There is no variant “+%(variant)s” of an encoder.",
    ),
    "label": (
        "A machine never sets this label",
        "The names of the sub-folders are the hidden labels",
        "There is nothing to freeze yet",
        "labels",
    ),
    "job": ("An unexpected error occurred", "The job is stored and waits", "The job runs again."),
    "image": (
        "Answer, hidden until the audit sample image has been judged",
        "Confidence, and share of images on which reviewers agree",
        "Images that arrived since are processed first.",
        "Sentences that describe what the image shows",
        "The change is being reverted",
        "The image has channels that cannot be shown",
        "The switch is in progress",
        "share of images on which the reviewers agree",
        "the image was judged blind, but a prediction",
    ),
    "embedding": ("Cosine %(cosine)s",),
    "dataset": ("No members yet", "The dataset is no longer shown"),
    "label set": ("Not every decision could be sealed yet",),
    "prompt": ("Only the beginning of these prompts is used.",),
    "certificate": ("The certificate, obtained from the authority itself.",),
    "stream": ("the stream it was drawn from is missing",),
    "import": ("The files that arrived are kept.",),
    "home": ("The restored home may take",),
    "metadata": ("file_name or metadata is missing",),  # names of fields
    "reviewer": (
        "%(n)s audited image has no label",
        "%(n)s audited images have no label",
        "Confidence, and share of images on which reviewers agree",
        "How many images wait for reviewers.",
        "It waits for a reviewer; the label stays",
        "Nothing waits. The next images are chosen",
        "On %(shown)s reviewed label",
        "share of images on which the reviewers agree",
        "waits for a reviewer",
    ),
}
# Values and names of files and programs are not words of the sentence.
NO_WORDS = re.compile(r"%\(\w+\)[.\d]*[sdf]|\{\w+\}|<[^>]*>|`[^`]*`|\w+\.(?:csv|jsonl)|“\w+”|\w+\[\w+\]")


def glossary() -> list[tuple[str, str]]:
    """Return (English, Japanese) of each term, the longest English term first."""
    rows = re.findall(r"^\| ([a-z][^|]*?) \| ([^|]+?) \| ", GLOSSARY.read_text("utf-8"), re.MULTILINE)
    return sorted(rows, key=lambda row: -len(row[0]))


def messages(language: str) -> list[polib.POEntry]:
    """Return the messages of a catalogue that are in use."""
    return [entry for entry in polib.pofile(str(catalogues.po_path(language))) if not entry.obsolete]


def translations(entry: polib.POEntry) -> list[str]:
    """Return the translations of a message, of which plural messages have several."""
    return [text for text in (entry.msgstr, *entry.msgstr_plural.values()) if text]


def terms_in(text: str, terms: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the terms of an English text. "label set" is one term and does not count as "label" too."""
    rest = NO_WORDS.sub("\0", text)
    for english, japanese in terms:
        pattern = rf"(?<![\w-]){re.escape(english)}(?:s|es)?(?![\w-])"
        rest, count = re.subn(pattern, "\0", rest, flags=re.IGNORECASE)
        if count:
            yield english, japanese


def wrong_terms(entry: polib.POEntry, terms: list[tuple[str, str]]) -> list[str]:
    """Return "term: message" for each term of a message without its Japanese term in the translation."""
    japanese_text = " ".join(translations(entry))
    english_texts = [text for text in (entry.msgid, entry.msgid_plural) if text]
    return [
        f"{english} ({japanese}): {text!r} → {japanese_text!r}"
        for text in english_texts
        for english, japanese in terms_in(text, terms)
        if not any(term in japanese_text for term in (japanese, *OTHER_JAPANESE.get(english, ())))
        and not any(message.startswith(WITHOUT_NOUN.get(english, ())) for message in english_texts)
    ]


def test_the_glossary_is_read() -> None:
    terms = dict(glossary())
    assert len(terms) > 25 and terms["head"] == "判定モデル" and terms["confusion matrix"] == "混同行列"


def test_japanese_messages_use_the_terms_of_the_glossary() -> None:
    terms = glossary()
    wrong = [line for entry in messages("ja") for line in wrong_terms(entry, terms)]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("english", "japanese", "wrong"),
    [
        ("Train a new head", "新しいヘッドを学習", 1),
        ("Train a new head", "新しい判定モデルを学習", 0),
        ("Heads of this dataset", "このデータの判定モデル", 1),
        ("Freeze a label set", "ラベル一覧を凍結", 1),
        ("Freeze a label set", "ラベルセットを凍結", 0),
        ("Predicted: {label}", "予測：{label}", 0),
        ("A forehead", "額", 0),
    ],
)
def test_a_message_with_another_term_is_reported(english: str, japanese: str, wrong: int) -> None:
    assert len(wrong_terms(polib.POEntry(msgid=english, msgstr=japanese), glossary())) == wrong


def test_a_plural_message_with_another_term_is_reported() -> None:
    entry = polib.POEntry(msgid="%(n)s job", msgid_plural="%(n)s jobs", msgstr_plural={0: "%(n)s 個の仕事"})
    assert len(wrong_terms(entry, glossary())) == 2


def test_english_messages_and_templates_have_no_old_terms() -> None:
    texts = {
        f"en: {entry.msgid!r}": entry.msgid for entry in messages("en") if entry.msgid not in FIELD_NAMES
    }
    texts |= {
        str(file.relative_to(ROOT)): file.read_text("utf-8")
        for file in sorted((ROOT / "templates").rglob("*"))
        if file.suffix in {".html", ".txt"}
    }
    wrong = [f"{place}: {term}" for place, text in texts.items() for term in OLD_ENGLISH.findall(text)]
    assert len(texts) > 1000 and wrong == []


def test_old_english_terms_are_recognised() -> None:
    sentence = (
        "Two opinions taught the text directions; a slip lowers the agreement of the head and the evenness."
    )
    assert len(OLD_ENGLISH.findall(sentence)) == 6
    assert not OLD_ENGLISH.findall("It slipped. Inter-annotator agreement.")


def test_japanese_messages_have_no_old_terms() -> None:
    wrong = []
    for entry in messages("ja"):
        files = {file for file, _line in entry.occurrences}
        for text in translations(entry):
            if (
                "ヘッド" in text
                or text.strip("。…. ") == "まだ"
                or (text == "予測済み" and not files <= PREDICTED_COUNTS)
            ):
                wrong.append(f"{entry.msgid!r} → {text!r}")
    assert wrong == []
