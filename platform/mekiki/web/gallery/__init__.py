"""The gallery of images, narrowed by filters, a text or an image, and the page of one image."""

from mekiki.review.finding import matching
from mekiki.web.gallery.files import original
from mekiki.web.gallery.image import ask_again, correct, image, take_back
from mekiki.web.gallery.pages import PAGE, page_of, page_of_hits
from mekiki.web.gallery.views import images

__all__ = [
    "PAGE",
    "ask_again",
    "correct",
    "image",
    "images",
    "matching",
    "original",
    "page_of",
    "page_of_hits",
    "take_back",
]
