"""The acts on a draft of prompts: change, discard, and save it as a version."""

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.labeling.drafts import draft_of, lines_of
from mekiki.labeling.models import PromptDraft, PromptSet
from mekiki.labeling.selectors import active_labels, current_prompt_set
from mekiki.labeling.services.prompts import save_prompts
from mekiki.labeling.text import MAX_PROMPT, MAX_PROMPTS, clean_block

# The longest content of a field: all prompts that a label may have, each as long as it may be.
MAX_FIELD = (MAX_PROMPT + 1) * MAX_PROMPTS


@transaction.atomic
def save_draft(*, dataset: Dataset, texts: Mapping[int, str], user: User) -> PromptDraft:
    """Store what the user tries; return the draft. It has no effect until it is saved as a version.

    `texts` maps a label id to the content of its field, one prompt per line. Other labels keep their text. A
    draft is private to its user and is not an event. Raises PermissionDenied unless the user is an admin of
    the dataset. Raises ValidationError for a label that is not in use, or for a text that is too long.
    """
    require_role(user, dataset, Role.ADMIN)
    known = set(active_labels(dataset).values_list("pk", flat=True))
    if not set(texts) <= known:
        raise ValidationError(
            _("The labels were changed in the meantime. Load the page again, then make your change."),
            code="unknown_label",
        )
    if any(len(text) > MAX_FIELD for text in texts.values()):
        raise ValidationError(
            _("A field has more than %(most)d characters. Your last change was not kept; shorten it.")
            % {"most": MAX_FIELD},
            code="draft_too_long",
        )
    written = {str(pk): clean_block(text) for pk, text in texts.items()}
    draft, made = PromptDraft.objects.select_for_update().get_or_create(
        dataset=dataset,
        user=user,
        defaults={"base": current_prompt_set(dataset), "texts": written, "changed_at": clock.now()},
    )
    if not made:
        draft.texts = {**draft.texts, **written}
        draft.changed_at = clock.now()
        draft.save(update_fields=["texts", "changed_at"])
    return draft


@transaction.atomic
def discard_draft(*, dataset: Dataset, user: User) -> bool:
    """Delete the user's draft and return whether there was one. PermissionDenied: not an admin."""
    require_role(user, dataset, Role.ADMIN)
    return bool(PromptDraft.objects.filter(dataset=dataset, user=user).delete()[0])


@transaction.atomic
def save_draft_as_version(
    *, dataset: Dataset, user: User, name: str = "", seen: int | None = None
) -> PromptSet:
    """Freeze the user's draft as the next version, delete the draft, and start a prediction.

    `seen` is the id of the version that the user compared the draft with. Raises ValidationError with the
    code changed_meanwhile if another version is in use now, and the errors of `save_prompts`.
    """
    require_role(user, dataset, Role.ADMIN)
    current = current_prompt_set(dataset)
    if (current.pk if current is not None else None) != seen:
        raise ValidationError(
            _(
                "Another version of the prompts was saved in the meantime. Nothing was saved. The page now "
                "compares your draft with that version; look at the changes, then save again."
            ),
            code="changed_meanwhile",
        )
    draft = draft_of(dataset, user)
    prompts = {pk: lines_of(text) for pk, text in draft.items()}
    saved = save_prompts(dataset=dataset, prompts=prompts, user=user, name=name)
    PromptDraft.objects.filter(dataset=dataset, user=user).delete()
    return saved
