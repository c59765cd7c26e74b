"""Pages name the streams in words, in both languages. Exports and programs use the codes."""

import re

import pytest
from django.test import Client
from django.utils import translation

from mekiki.review.models import Stream
from mekiki.review.streams import STREAM_NAMES, stream_words
from tests.factories import MembershipFactory, UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def test_every_stream_has_its_own_name_in_both_languages():
    assert set(STREAM_NAMES) == set(Stream)
    for language in ("en", "ja"):
        with translation.override(language):
            words = [stream_words(code) for code in Stream.values]
        assert len(set(words)) == len(words)
        assert not set(words) & set(Stream.values)
        if language == "ja":
            assert all(re.search("[ぁ-んァ-ヶ一-龠]", text) for text in words)
    assert stream_words("a code of later") == "a code of later"


@pytest.mark.parametrize("language", ["en", "ja"])
def test_pages_show_no_stream_code(language: str):
    station = Station()
    for stream in (*Stream.values, Stream.DIVERSE):
        station.item(stream)
    user = UserFactory(language=language)
    MembershipFactory(dataset=station.dataset, user=user, role="admin")
    leased = station.next(user, 5)
    diverse = next(leased_item for leased_item in leased if leased_item.item.stream == Stream.DIVERSE)
    station.answer(user, diverse)
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    base = f"/d/{station.dataset.slug}/"
    pages = [
        client.get(base + "review/queue/").content.decode(),
        client.get(f"{base}images/{diverse.item.image.sha256}/").content.decode(),
        client.get(base + "images/").content.decode(),
    ]
    for text in pages:
        # What people read. Addresses and form values keep the codes.
        visible_text = re.sub(r"<[^>]*>", " ", text)
        assert not re.search(r"\b(diverse|uncertain|recheck)\b", visible_text)
    with translation.override(language):
        for page in pages:
            assert stream_words("diverse") in page
