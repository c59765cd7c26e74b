"""What the review API takes and returns. The pages of the grid review have their own (review_grid.py)."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field

from mekiki.api.errors import ErrorOut
from mekiki.review.adjustments import LEAST, MOST

Id = Annotated[int, Field(ge=1, lt=2**63, strict=True)]
# A time on the screen, as the service accepts it.
Milliseconds = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
ERRORS = dict.fromkeys((401, 403, 404, 409, 422), ErrorOut)


def storable(text: str) -> str:
    """Return the text if PostgreSQL can store it: without NUL and without half of a surrogate pair."""
    if "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise ValueError("no text")
    return text


class NextIn(Schema):
    """How many images to hold at once."""

    count: int = Field(1, ge=1, le=5, strict=True)


class ImageOut(Schema):
    """An image to judge. Asked about blind, it has a neutral name and no metadata."""

    sha256: str
    name: str
    url: str
    thumb_url: str
    width: int
    height: int
    metadata: dict[str, Any]


class PredictionOut(Schema):
    """What the head in use says of the image, as it is shown. Absent when the image is asked about blind."""

    label: int
    name: str
    confidence: float
    calibrated: bool
    runner_up: int | None
    runner_up_confidence: float | None
    head: int


class ItemOut(Schema):
    """A queue item in the reviewer's hands."""

    item: int
    lease: int
    expires_at: datetime
    image: ImageOut
    blind: bool
    prediction: PredictionOut | None


class EmptyOut(Schema):
    """Why there is no image, and where to go."""

    code: str
    text: str
    url: str
    link: str
    progress: float | None
    may_undo: bool


class NextOut(Schema):
    """What to ask the reviewer next."""

    items: list[ItemOut]
    waiting: int
    answered_today: int
    empty: EmptyOut | None


Factor = Annotated[float, Field(ge=LEAST, le=MOST, allow_inf_nan=False)]


class ViewIn(Schema):
    """How the picture was adjusted on the screen: factors (1 is the original), inverted, one channel."""

    model_config = ConfigDict(extra="forbid")

    brightness: Factor = 1.0
    contrast: Factor = 1.0
    gamma: Factor = 1.0
    invert: Annotated[bool, Field(strict=True)] = False
    channel: Literal["red", "green", "blue"] | None = None


Note = Annotated[str, Field(max_length=2000), AfterValidator(storable)]
# Why an image was skipped or flagged.
AnswerReason = Literal[
    "", "unclear", "not_in_list", "expert", "bad_image", "wrong_object", "duplicate", "other"
]


class AnswerIn(Schema):
    """One answer. `client_key` is the sender's own: sent again, the answer is recorded once.

    `reason` says why the image was skipped (unclear, not_in_list, expert, other) or flagged (bad_image,
    wrong_object, duplicate, other); it may be empty. `milliseconds`: how long the image was on the screen; \
too short to be seen, the answer is refused (not_seen).
    `view`: how the picture was adjusted on the screen, null for the original.
    `why`: the id of the panel Why if it was open, null if it was closed; what it showed is recorded.
    `next`: how many images to hold afterwards.
    """

    item: Id
    lease: Id
    kind: Literal["confirm", "correct", "skip", "flag"]
    label: Id | None = None
    reason: AnswerReason = ""
    note: Note = ""
    client_key: UUID
    milliseconds: Milliseconds | None = None
    view: ViewIn | None = None
    why: UUID | None = None
    next: int | None = Field(None, ge=1, le=5, strict=True)


class FollowingOut(Schema):
    """The images to judge after an answer, those held already first."""

    items: list[ItemOut]
    empty: EmptyOut | None


class AnswerOut(Schema):
    """What was recorded. `late`: kept as a decision, because the hold had run out.

    `next` is null if it was not asked for, or if no image could be held; ask for the next images then.
    """

    decision: int
    kind: str
    label: int | None
    late: bool
    duplicate: bool
    waiting: int
    next: FollowingOut | None = None


class UndoIn(Schema):
    """One undo of the reviewer's latest answer; `client_key` as in an answer."""

    client_key: UUID


class UndoOut(Schema):
    """The undo, and the image again when it still needs a decision."""

    decision: int
    undone: str
    duplicate: bool
    item: ItemOut | None


class LeasesIn(Schema):
    """Holds of the reviewer."""

    leases: list[Id] = Field(max_length=100)


class RenewedOut(Schema):
    """A hold that goes on."""

    lease: int
    expires_at: datetime


class RenewOut(Schema):
    """The holds that go on; the others were lost. `answered_today` as in review/next."""

    renewed: list[RenewedOut]
    answered_today: int


class ReleaseOut(Schema):
    """How many holds ended."""

    released: int


class ReferenceOut(Schema):
    """An image that shows what a label includes (accepted), or what it does not include."""

    url: str
    width: int
    height: int
    accepted: bool
    note: str


class GuideOut(Schema):
    """The guideline and the reference images of a label.

    `code`: its short code, or an empty text. `key`: its key in the station, if it has one.
    """

    id: int
    name: str
    code: str
    key: int | None
    guideline: str
    references: list[ReferenceOut]


class GuidesOut(Schema):
    """The guides of all labels in use, in the order of the labels."""

    labels: list[GuideOut]
