"""The review station in a browser: images to review, and the conditions that a test waits for."""

import hashlib
import io
import random
from typing import Any

from PIL import Image as PillowImage
from PIL import ImageDraw
from playwright.sync_api import Page, expect

from mekiki.datasets import storage
from mekiki.datasets.models import Image
from mekiki.review.models import Lease
from tests.factories import ImageFactory
from tests.review_setup import Station
from tests.roles import set_fixed
from tests.waiting import until


def station_with(items: int, labels: int = 4, **more: Any) -> Station:
    """Create a station with images that can be loaded."""
    station = Station(items=0, labels=labels, queue_target=0, **more)
    for _ in range(items):
        station.items.append(station.item(image=image_with_files(station)))
    return station


def image_with_files(station: Station, picture: PillowImage.Image | None = None) -> Image:
    """Create an image with its files: grey steel with a scratch that differs each time, or the picture."""
    width, height = picture.size if picture is not None else (200, 200)
    image = ImageFactory(dataset=station.dataset, width=width, height=height)
    if picture is None:
        dice = random.Random(image.pk)
        picture = PillowImage.effect_noise((200, 200), 40).convert("L")
        ends = [(dice.randrange(200), dice.randrange(200)) for _ in range(3)]
        ImageDraw.Draw(picture).line(ends, fill=230, width=3)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    set_fixed(image, sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
    storage.write_atomically(storage.original_name(image.dataset_id, image.sha256), buffer.getvalue())
    small = io.BytesIO()
    picture.resize((100, 100)).save(small, "WEBP")
    storage.write_atomically(storage.thumb_name(image.dataset_id, image.sha256), small.getvalue())
    return image


def item_of(page: Page) -> int:
    """Return the item on the screen, once it accepts answers."""
    page.wait_for_selector("[data-station][data-item] [data-canvas] img")
    return int(page.get_attribute("[data-station]", "data-item") or 0)


def close_guide(page: Page) -> None:
    """Close the guidelines, which a first visit begins with, and wait until the image counts as seen."""
    page.wait_for_selector("[data-guide-dialog][open] [role=tab]")
    page.keyboard.press("Escape")
    item_of(page)
    page.wait_for_timeout(300)


def press_and_wait(page: Page, key: str) -> None:
    """Press a key and wait until another image accepts answers or the empty queue is shown."""
    before = item_of(page)
    page.keyboard.press(key)
    page.wait_for_selector(
        f'[data-station][data-item]:not([data-item="{before}"]), [data-station] [data-empty]:not([hidden])'
    )


def expect_item(page: Page, item: int) -> None:
    expect(page.locator("[data-station]")).to_have_attribute("data-item", str(item))


def expect_saved(page: Page) -> None:
    expect(page.locator("[data-sync]")).to_have_attribute("data-state", "saved")


def open_again(page: Page) -> None:
    """Leave the station, wait until its leases are released, and open it again."""
    address = page.url
    page.goto("about:blank")
    until(lambda: not Lease.objects.filter(ended_at__isnull=True).exists(), "the leases are released")
    page.goto(address)


def wait_for_leases(page: Page, least: int) -> None:
    """Wait until at least this many images are leased. The page leases the next images in advance."""
    for _ in range(150):
        if Lease.objects.filter(ended_at__isnull=True).count() >= least:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"fewer than {least} images are leased")
