"""The rules for passwords, after NIST SP 800-63B: length and known words matter, composition does not.

Passwords are compared and stored in NFKC, so that full-width letters and composed accents equal the letters
that they show.
"""

import re
import unicodedata
from typing import TYPE_CHECKING

from django.apps import apps
from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from mekiki.accounts.models import User

LONGEST = 256
FEWEST_DIFFERENT = 5

# Words that people are likely to use at an inspection workplace. The names of datasets, users and hosts of
# the site are added.
WORDS = frozenset(
    [
        "mekiki",
        "admin",
        "administrator",
        "root",
        "user",
        "test",
        "demo",
        "sample",
        "pass",
        "password",
        "passwd",
        "passphrase",
        "pasuwado",
        "login",
        "secret",
        "welcome",
        "hello",
        "letmein",
        "change",
        "changeme",
        "default",
        "initial",
        "temp",
        "temporary",
        "guest",
        "operator",
        "manager",
        "reviewer",
        "viewer",
        "label",
        "kensa",
        "kensain",
        "kensashitsu",
        "kensaku",
        "hinshitsu",
        "hinkan",
        "hinshitsukanri",
        "kojo",
        "koujou",
        "factory",
        "kaisha",
        "company",
        "line",
        "seizo",
        "seizou",
        "seisan",
        "genba",
        "kaizen",
        "gaikan",
        "gaikankensa",
        "kizu",
        "yogore",
        "fury",
        "furyou",
        "ryohin",
        "ryouhin",
        "gokaku",
        "fugokaku",
        "quality",
        "inspection",
        "inspector",
        "inspect",
        "camera",
        "image",
        "picture",
        "photo",
        "dataset",
        "model",
        "konnichiwa",
        "ohayo",
        "arigato",
        "arigatou",
        "sakura",
        "fuji",
        "fujisan",
        "nippon",
        "nihon",
        "japan",
        "tokyo",
        "osaka",
        "nagoya",
        "kyoto",
        "yokohama",
        "sendai",
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "spring",
        "summer",
        "autumn",
        "fall",
        "winter",
        "haru",
        "natsu",
        "aki",
        "fuyu",
        "reiwa",
        "heisei",
        "showa",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "パスワード",
        "ひみつ",
        "検査",
        "検品",
        "外観検査",
        "品質",
        "品質管理",
        "品管",
        "工場",
        "会社",
        "製造",
        "生産",
        "現場",
        "改善",
        "目利き",
        "管理者",
        "担当者",
        "良品",
        "不良",
        "不良品",
        "合格",
        "不合格",
        "傷",
        "汚れ",
        "桜",
        "富士山",
        "日本",
        "東京",
        "大阪",
        "名古屋",
        "令和",
        "平成",
        "昭和",
        "こんにちは",
        "ありがとう",
    ]
)
_RUNS = (
    "abcdefghijklmnopqrstuvwxyz",
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb",
)
_LOOKALIKES = str.maketrans("@4310$5!7", "aaeiossit")


def normalize(password: str) -> str:
    """Return the password in the form that is stored: NFKC."""
    text = password[: 4 * LONGEST].encode(errors="replace").decode()
    return unicodedata.normalize("NFKC", text)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _core(text: str) -> str:
    """Return the letters of a text.

    Digits and signs around or between the letters make a word no harder to guess.
    """
    return "".join(letter for letter in text if letter.isalpha())


class LengthValidator:
    """A validator for at least MEKIKI_PASSWORD_LENGTH and at most LONGEST characters."""

    def validate(self, password: str, user: "User | None" = None) -> None:
        """Raise ValidationError if the password is too short or too long, counted in its stored form."""
        shortest = settings.PASSWORD_LENGTH
        if len(password) > LONGEST or len(normalize(password)) > LONGEST:
            raise ValidationError(
                _("The password is too long: %(longest)d characters at most."),
                code="password_too_long",
                params={"longest": LONGEST},
            )
        if len(normalize(password)) < shortest:
            raise ValidationError(
                _("The password is too short: it needs %(shortest)d characters or more."),
                code="password_too_short",
                params={"shortest": shortest},
            )

    def get_help_text(self) -> str:
        """Return the rule in words."""
        text = _(
            "%(shortest)d to %(longest)d characters of any kind, blanks included. Several words are good."
        )
        return text % {"shortest": settings.PASSWORD_LENGTH, "longest": LONGEST}


class KnownWordsValidator(CommonPasswordValidator):
    """A validator that refuses passwords that are easy to guess, with or without digits around them.

    It refuses common passwords, words of the workplace, names of this site and simple rows of keys.
    """

    def validate(self, password: str, user: "User | None" = None) -> None:
        """Raise ValidationError if an attacker would try this password first."""
        text = _folded(normalize(password))
        stem = re.sub(r"[\W\d_]+$", "", text)
        for tried in (text, text.translate(_LOOKALIKES), stem.translate(_LOOKALIKES)):
            core = _core(tried)
            if tried in self.passwords or core in self.passwords or self._is_simple(tried):
                raise self._refusal()
            if core and _is_made_of(core, _own_words(user) | WORDS):
                raise self._refusal()

    @staticmethod
    def _refusal() -> ValidationError:
        return ValidationError(
            _(
                "This password is easy to guess: it is a common password, a row of keys, or made of "
                "names and words from this site. Choose other words."
            ),
            code="password_too_common",
        )

    @staticmethod
    def _is_simple(text: str) -> bool:
        """Return whether a text has few different characters, repeats a short part or is a row of keys."""
        if len(set(text)) < FEWEST_DIFFERENT or re.fullmatch(r"(.{1,6}?)\1+.?", text, re.DOTALL):
            return True
        rows = [row for run in _RUNS for row in (run * 3, (run * 3)[::-1])]
        return any(text in row for row in rows)

    def get_help_text(self) -> str:
        """Return the rule in words."""
        return _("No common password, and no names of people, datasets or this site alone.")


def _is_made_of(text: str, words: set[str]) -> bool:
    """Return whether a text consists only of these words, one after the other."""
    present = [word for word in words if word and word in text]
    reached = [True] + [False] * len(text)
    for at in range(len(text)):
        if reached[at]:
            for word in present:
                if text.startswith(word, at):
                    reached[at + len(word)] = True
    return reached[-1]


def _own_words(user: "User | None") -> set[str]:
    """Return the letters of the names that belong to this site: users, datasets, hosts."""
    people = list(apps.get_model("accounts", "User").objects.values_list("username", flat=True)[:5000])
    for name in ("username", "first_name", "last_name", "email"):
        people.append(str(getattr(user, name, "") or ""))
    datasets = apps.get_model("datasets", "Dataset").objects.values_list("name", "slug")[:2000]
    texts = [*people, *(text for pair in datasets for text in pair), *settings.ALLOWED_HOSTS]
    words = {_core(_folded(part)) for text in texts for part in (text, *re.split(r"[\W_]+", text))}
    return {word for word in words if len(word) > 2}
