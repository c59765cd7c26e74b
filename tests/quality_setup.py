"""A certificate of a dataset with frozen predictions, for tests of the quality app."""

import hashlib
from typing import Any

import numpy as np

from mekiki.datasets.models import Image
from mekiki.quality.audit_state import AuditState, read_audit_state
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import (
    FrozenPool,
    accept,
    draw_next,
    end_audit,
    mark_accepted,
    record_freeze,
    set_machine_labels,
    start,
)
from mekiki.review.models import Decision, Stream
from tests.factories import ImageFactory
from tests.review_setup import Station
from verification.certificates.protocol import Protocol

SEED = bytes(range(32))


def make_protocol(**values: Any) -> Protocol:
    """Return a protocol with one region that a pool of 40 images passes after a few right answers."""
    return Protocol(**{"alpha": 0.5, "delta": 0.05, "limit": 12, "levels": (1.0,), **values})


class CertifiedPool(Station):
    """A station with `size` images of a frozen pool. The audit order is the order of the images' hashes."""

    def __init__(self, size: int = 40, overlap: int = 1, started: bool = True, **protocol: Any) -> None:
        super().__init__(labels=3)
        self.admin = self.reviewer("admin")
        self.people = [self.reviewer(), self.reviewer()]
        self.images = sorted((self.make_image() for _ in range(size)), key=lambda image: image.sha256)
        if started:
            self.certificate = start(
                dataset=self.dataset, user=self.admin, protocol=make_protocol(**protocol), overlap=overlap
            )

    def make_image(self) -> Image:
        """Create an image of the dataset."""
        return ImageFactory(dataset=self.dataset)

    @property
    def state(self) -> AuditState:
        """The state of the audit."""
        return read_audit_state(self.certificate)

    def pool(self, **values: Any) -> FrozenPool:
        """Return the frozen pool: every image is predicted as the first label and is a candidate."""
        n = len(self.images)
        return FrozenPool(
            **{
                "image_ids": np.array([image.pk for image in self.images]),
                "digests": np.array(
                    [list(bytes.fromhex(image.sha256)) for image in self.images], np.uint8
                ).reshape(n, 32),
                "label_ids": np.full(n, self.labels[0].pk),
                "confidence": np.linspace(0.99, 0.6, n),
                "critical_probability": np.zeros(n),
                "rank": np.arange(1, n + 1),
                "audit_position": np.arange(1, n + 1),
                "critical_label": 0,
                "critical_risk": 0,
                "not_embedded": 0,
                **values,
            }
        )

    def freeze(self, **values: Any) -> Certificate:
        """Freeze the pool and return the certificate, whose audit runs now."""
        frozen = record_freeze(
            certificate=self.certificate,
            head=self.head,
            pool=self.pool(**values),
            seed=SEED,
            commitment=hashlib.sha256(SEED).hexdigest(),
        )
        assert frozen is not None
        self.certificate = frozen
        return frozen

    def answer_audits(self, *, wrong: bool = False, most: int = 100) -> AuditState:
        """Draw and answer audits until the audit can end, and return its state."""
        for _ in range(most):
            state = read_audit_state(self.certificate)
            if state.is_complete:
                return state
            draw_next(certificate=self.certificate, state=state)
            [leased] = self.next(self.people[0])
            self.answer(self.people[0], leased, "correct", label=self.labels[1 if wrong else 0])
        return read_audit_state(self.certificate)

    def end(self) -> Certificate:
        """End the audit by the answers so far, and return the certificate."""
        self.certificate = end_audit(certificate=self.certificate, user=None)
        return self.certificate

    def left(self) -> set[int]:
        """Return the ids of the images that no reviewer has labelled for the certificate."""
        decided = Decision.objects.filter(dataset=self.dataset, item__stream=Stream.CERTIFY)
        return {image.pk for image in self.images} - set(decided.values_list("image", flat=True))


def certified(**protocol: Any) -> CertifiedPool:
    """Return a pool whose audit ended with a certified region of all 40 images."""
    world = CertifiedPool(**protocol)
    world.freeze()
    world.answer_audits()
    assert world.end().region == 40
    return world


def accepted(**protocol: Any) -> CertifiedPool:
    """Return a pool whose labels are set by machine."""
    world = certified(**protocol)
    accept(certificate=world.certificate, user=world.admin)
    n = set_machine_labels(certificate=world.certificate, first=1, last=100)
    done = mark_accepted(certificate=world.certificate, accepted=n)
    assert done is not None
    world.certificate = done
    return world
