"""The catalogues are complete: every string that a person sees exists in English and in Japanese."""

from pathlib import Path

import polib
import pytest
from django.utils import translation

from mekiki.web import catalogues


def test_the_catalogues_are_complete_and_compiled():
    wrong = catalogues.check()
    assert not wrong, "Run `manage.py catalogues`, then translate:\n" + "\n".join(wrong)


def test_messages_are_found_in_python_and_in_templates():
    extracted = {message.msgid: message for message in catalogues.extract().values()}
    assert "templates/base.html" in extracted["Skip to the page"].files
    assert extracted["about %(n)s second left"].plural == "about %(n)s seconds left"
    assert ("section", "Overview") in catalogues.extract()
    assert "95 %% interval" in extracted, (
        "templates double the per cent sign, as Django does when it looks up"
    )


def test_japanese_pages_are_japanese():
    with translation.override("ja"):
        assert translation.gettext("Skip to the page") != "Skip to the page"
        assert translation.ngettext("about %(n)s second left", "about %(n)s seconds left", 3) % {"n": 3}


@pytest.fixture
def copy(tmp_path: Path, settings) -> Path:
    """Copy the catalogues to a folder where a test may damage them."""
    for language in catalogues.LANGUAGES:
        for suffix in (".po", ".mo"):
            source = catalogues.po_path(language).with_suffix(suffix)
            target = tmp_path / language / "LC_MESSAGES" / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    settings.LOCALE_PATHS = [tmp_path]
    return tmp_path / "ja" / "LC_MESSAGES" / "django.po"


def faults(path: Path, harm) -> str:
    catalogue = polib.pofile(str(path), wrapwidth=0)
    harm(catalogue)
    catalogue.save(str(path))
    catalogue.save_as_mofile(str(path.with_suffix(".mo")))
    return "\n".join(line for line in catalogues.check() if line.startswith("ja"))


def test_each_kind_of_fault_is_found(copy: Path):
    def empty(catalogue):
        catalogue.find("Skip to the page").msgstr = ""

    def fuzzy(catalogue):
        catalogue.find("Datasets").flags.append("fuzzy")

    def misplace(catalogue):
        catalogue.find("%(user)s is no longer a member").msgstr = "%(usr)s"

    def obsolete(catalogue):
        catalogue.append(polib.POEntry(msgid="used nowhere", msgstr="x"))

    assert "'Skip to the page' (templates/base.html) is not translated" in faults(copy, empty)
    assert "is fuzzy" in faults(copy, fuzzy)
    assert "the places for values differ in '%(usr)s'" in faults(copy, misplace)
    assert "'used nowhere' is used nowhere" in faults(copy, obsolete)


def test_a_stale_compiled_catalogue_is_found(copy: Path):
    catalogue = polib.pofile(str(copy), wrapwidth=0)
    catalogue.find("Skip to the page").msgstr = "別の訳"
    catalogue.save(str(copy))
    assert "ja: the compiled catalogue is stale" in catalogues.check()
