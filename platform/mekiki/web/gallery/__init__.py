"""The gallery of images, narrowed by filters, a text or an image, and the page of one image."""

from mekiki.review.finding import filter_images
from mekiki.web.gallery.acts import (
    act,
    correct_selection,
    delete_view,
    open_view,
    save_view,
    train_without,
)
from mekiki.web.gallery.facets import facets
from mekiki.web.gallery.files import original
from mekiki.web.gallery.gold import mark_selection
from mekiki.web.gallery.image import (
    add_reference,
    ask_again,
    correct,
    image,
    remove_reference,
    take_back,
)
from mekiki.web.gallery.large import large_image
from mekiki.web.gallery.near_duplicates import act_on_near_duplicates, near_duplicates
from mekiki.web.gallery.pages import PAGE_SIZE, load_page, load_page_of_hits
from mekiki.web.gallery.using import train_without_images, use_images
from mekiki.web.gallery.views import images

__all__ = [
    "PAGE_SIZE",
    "act",
    "act_on_near_duplicates",
    "add_reference",
    "ask_again",
    "correct",
    "correct_selection",
    "delete_view",
    "facets",
    "filter_images",
    "image",
    "images",
    "large_image",
    "load_page",
    "load_page_of_hits",
    "mark_selection",
    "near_duplicates",
    "open_view",
    "original",
    "remove_reference",
    "save_view",
    "take_back",
    "train_without",
    "train_without_images",
    "use_images",
]
