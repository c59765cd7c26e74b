"""Messages of the pages: events of the audit log, and notices of a dataset's overview."""

from typing import Any

from django.utils.translation import gettext as _

from mekiki.accounts.models import Role
from mekiki.config.messages import Messages, gettext_noop, ngettext_noop, when
from mekiki.jobs.models import Kind
from mekiki.learning.figures import count
from mekiki.review.models import Decision

# -- kinds of events ----------------------------------------------------------------------------------------


def _decision_kind(kind: Any) -> str:
    return str(Decision.Kind(kind).label if kind in Decision.Kind.values else kind)


def _role(role: Any) -> str:
    return str(Role(role).label if role in Role.values else role)


def _job_kind(kind: Any) -> str:
    return str(Kind(kind).label if kind in Kind.values else _("Job"))


# What happened, by the kind of the event.
EVENTS = Messages("events", missing="")
EVENTS.add("dataset.created", gettext_noop("Dataset created"))
EVENTS.add("dataset.archived", gettext_noop("Dataset archived"))
EVENTS.add("schema.copied", gettext_noop("Labels and prompts copied from another dataset"))
EVENTS.add("view.saved", gettext_noop("View of the gallery saved"))
EVENTS.add("view.deleted", gettext_noop("View of the gallery deleted"))
EVENTS.add("images.acted_on", gettext_noop("Act on many images"))
EVENTS.add(
    "near_duplicates.threshold_chosen",
    gettext_noop("Threshold of near-duplicates chosen: cosine %(threshold)s"),
)
EVENTS.add("near_duplicates.stopped", gettext_noop("Groups of near-duplicates deleted"))
EVENTS.add(
    "near_duplicates.use_changed",
    gettext_noop("Use of near-duplicates of the audit reserve in training changed"),
)
EVENTS.add("dataset.deleted", gettext_noop("Dataset deleted"))
EVENTS.add("dataset.restored", gettext_noop("Dataset restored"))
EVENTS.add("dataset.purged", gettext_noop("Files of the deleted dataset removed"))
EVENTS.add("dataset.address_changed", gettext_noop("Address of the dataset changed"))
EVENTS.add("dataset.settings_changed", gettext_noop("Settings changed"))
EVENTS.add("window.estimated", gettext_noop("Pixel window estimated from images"))
EVENTS.add("metadata_field.changed", gettext_noop("Type of a metadata field changed"))
EVENTS.add("window.changed", gettext_noop("Pixel window changed"))
EVENTS.add("images.imported", gettext_noop("Images imported"))
EVENTS.add("import.limit_reached", gettext_noop("A storage limit was reached"))
EVENTS.add("dataset.limits_changed", gettext_noop("Limits of storage of the dataset changed"))
EVENTS.add("site.limits_changed", gettext_noop("Limits of storage of the platform changed"))
EVENTS.add("images.metadata_changed", gettext_noop("Metadata of images changed"))
EVENTS.add("folder.watched", gettext_noop("Folder watched: %(folder)s"))
EVENTS.add("folder.watch_ended", gettext_noop("Folder no longer watched: %(folder)s"))
EVENTS.add("import.undo_requested", gettext_noop("Import taken back"))
EVENTS.add("import.undone", gettext_noop("Images of an import deleted"))
EVENTS.add("import.discarded", gettext_noop("Upload discarded"))
EVENTS.add("labels.imported", gettext_noop("Labels imported from “%(source)s”"))
EVENTS.add("imported_label.mapped", gettext_noop("Imported label “%(name)s” assigned"))
EVENTS.add("imported_labels.use_changed", gettext_noop("Use of the labels from “%(source)s” changed"))
EVENTS.add("label.added", gettext_noop("Label added"))
EVENTS.add("label.changed", gettext_noop("Label changed"))
EVENTS.add("label.archived", gettext_noop("Label archived"))
EVENTS.add("label.restored", gettext_noop("Label restored"))
EVENTS.add("label.merged", gettext_noop("Label merged into another label"))
EVENTS.add("label.split", gettext_noop("Label split into several labels"))
EVENTS.add("prompts.saved", gettext_noop("Prompts saved"))
EVENTS.add("decision.recorded", gettext_noop("Answer: %(kind)s"), kind=_decision_kind)
EVENTS.add("audit.retired", gettext_noop("Audit labels retired into training"))
EVENTS.add("queue.filled", gettext_noop("Images chosen for review"))
EVENTS.add("queue.asked_again", gettext_noop("New review requested for an image with a confirmed label"))
EVENTS.add("queue.overlap_changed", gettext_noop("Overlap of streams changed"))
EVENTS.add("queue.put_back", gettext_noop("Skipped or flagged image returned to the queue"))
EVENTS.add("queue.sent", gettext_noop("Skipped or flagged image sent to a reviewer"))
for _code, _text in (
    ("queue.part_assigned", gettext_noop("Part of the queue assigned to %(user)s:")),
    ("queue.part_taken_back", gettext_noop("Part of the queue no longer assigned to %(user)s:")),
):
    EVENTS.add(
        _code,
        _text,
        when("label", gettext_noop("images predicted as %(label)s")),
        when("key", gettext_noop("images with %(key)s = %(value)s")),
        when("strict", gettext_noop("(only for this reviewer)")),
    )
EVENTS.add("queue.set_aside", gettext_noop("Skipped or flagged image set aside"))
EVENTS.add("gold_image.added", gettext_noop("Gold image added"))
EVENTS.add("gold_image.ended", gettext_noop("Gold image ended"))
EVENTS.add(
    "requalification.due",
    gettext_noop(
        "Requalification of %(user)s is due: %(gold_right)s of %(gold_answers)s gold images answered right"
    ),
)
EVENTS.add("requalification.begun", gettext_noop("Test begun by %(user)s"))
EVENTS.add("requalification.passed", gettext_noop("Test passed by %(user)s: %(right)s of %(asked)s"))
EVENTS.add(
    "requalification.failed", gettext_noop("Test not passed by %(user)s: %(right)s of %(asked)s right")
)
EVENTS.add("requalification.waived", gettext_noop("Requalification of %(user)s waived"))
EVENTS.add("requalification.offered", gettext_noop("Test offered to %(user)s again"))
EVENTS.add("reference_image.added", gettext_noop("Reference image of a label added or changed"))
EVENTS.add("reference_image.removed", gettext_noop("Reference image of a label removed"))
EVENTS.add("study.created", gettext_noop("Study %(number)s created"))
EVENTS.add("study.drawn", gettext_noop("Other images drawn for study %(number)s"))
EVENTS.add("study.started", gettext_noop("Study %(number)s started"))
EVENTS.add("study.answered", gettext_noop("Answer in study %(number)s, run %(run)s"))
EVENTS.add("study.cancelled", gettext_noop("Study %(number)s cancelled"))
EVENTS.add("study.finished", gettext_noop("Study %(number)s finished"))
EVENTS.add("study.reported", gettext_noop("Report %(version)s of study %(number)s computed"))
EVENTS.add("study.file_changed", gettext_noop("The PDF of a study’s report was changed in the storage"))
EVENTS.add("training.requested", gettext_noop("Training requested"))
EVENTS.add("training.finished", gettext_noop("Training finished"))
EVENTS.add("head.trained", gettext_noop("Head trained"))
EVENTS.add("head.chosen", gettext_noop("Head chosen manually"))
EVENTS.add("head.promoted", gettext_noop("Head promoted"))
EVENTS.add("head.verified", gettext_noop("Training of a head repeated"))
EVENTS.add("encoder.change_requested", gettext_noop("Change of the encoder requested"))
EVENTS.add("encoder.prepared", gettext_noop("Encoder prepared"))
EVENTS.add("encoder.change_failed", gettext_noop("Change of the encoder failed"))
EVENTS.add("encoder.change_cancelled", gettext_noop("Change of the encoder cancelled"))
EVENTS.add("encoder.switch_requested", gettext_noop("Switch of the encoder requested"))
EVENTS.add("encoder.switched", gettext_noop("Encoder switched over"))
EVENTS.add("encoder.take_back_requested", gettext_noop("Revert to the previous encoder requested"))
EVENTS.add("encoder.taken_back", gettext_noop("Change of the encoder reverted"))
EVENTS.add("encoder.removal_requested", gettext_noop("Removal of embeddings requested"))
EVENTS.add("encoder.embeddings_removed", gettext_noop("Embeddings removed"))
EVENTS.add("schedule.set", gettext_noop("Schedule of training set"))
EVENTS.add("schedule.cleared", gettext_noop("Schedule of training switched off"))
EVENTS.add("certificate.planned", gettext_noop("Plan %(number)s of a certificate requested"))
EVENTS.add("certificate.started", gettext_noop("Certificate %(version)s started"))
EVENTS.add("certificate.frozen", gettext_noop("Certificate %(version)s frozen: %(candidates)s candidates"))
EVENTS.add(
    "certificate.audits_drawn",
    gettext_noop("Certificate %(version)s: %(drawn)s images drawn for the audit of the certificate"),
)
EVENTS.add(
    "certificate.ended",
    gettext_noop("Audit of certificate %(version)s ended: %(certified)s images certified"),
)
EVENTS.add("certificate.cancelled", gettext_noop("Certificate %(version)s cancelled"))
EVENTS.add("certificate.accepted", gettext_noop("Certificate %(version)s accepted"))
EVENTS.add(
    "certificate.labels_set", gettext_noop("Certificate %(version)s: %(labels)s labels set by machine")
)
EVENTS.add("certificate.extended", gettext_noop("Certificate %(version)s extended to later images"))
EVENTS.add(
    "certificate.stream_labels_set",
    gettext_noop("Certificate %(version)s: %(labels)s labels of later images set by machine"),
)
EVENTS.add(
    "certificate.stream_ended",
    gettext_noop("Extension of certificate %(version)s to later images ended: %(doubtful)s labels in doubt"),
)
EVENTS.add(
    "certificate.recheck_requested",
    gettext_noop("Certificate %(version)s: %(images)s images sent to review again"),
)
EVENTS.add("certificate.continued", gettext_noop("Certificate %(version)s: work started again"))
EVENTS.add("certificate.suspended", gettext_noop("Certificate %(version)s suspended"))
EVENTS.add("certificate.revoked", gettext_noop("Certificate %(version)s revoked"))
EVENTS.add("label_set.requested", gettext_noop("Label set requested"))
EVENTS.add("label_set.frozen", gettext_noop("Label set frozen"))
EVENTS.add("label_set.downloaded", gettext_noop("Label set downloaded"))
EVENTS.add(
    "label_set.file_changed",
    gettext_noop("File of a label set differs from its frozen content: not delivered"),
)
EVENTS.add(
    "image.file_changed", gettext_noop("File of an image differs from its imported content: not delivered")
)
EVENTS.add("member.made_adjudicator", gettext_noop("%(user)s is an adjudicator now"))
EVENTS.add("member.adjudicator_ended", gettext_noop("%(user)s is no adjudicator any more"))
EVENTS.add("member.role_set", gettext_noop("%(user)s is %(role)s now"), role=_role)
EVENTS.add(
    "member.goal_set",
    when("goal", gettext_noop("Daily goal of %(user)s: %(goal)s answers")),
    when(lambda v: not v.get("goal"), gettext_noop("Daily goal of %(user)s removed")),
)
EVENTS.add("member.removed", gettext_noop("%(user)s is no longer a member"))
EVENTS.add("signing_key.made", gettext_noop("Signing key made"))
EVENTS.add("signing_key.registered", gettext_noop("Signing key of an older version taken over"))
EVENTS.add("signing_key.rotated", gettext_noop("Signing key replaced; the key before signed for it"))
EVENTS.add("signing_key.replaced", gettext_noop("Lost signing key replaced"))
EVENTS.add("seal.time_stamped", gettext_noop("Time stamp of a seal kept"))
EVENTS.add("seal.head_mailed", gettext_noop("Head of a seal mailed"))
EVENTS.add("seal.recipients_changed", gettext_noop("Recipients of the heads of seals changed"))
EVENTS.add("site.mail_failed", gettext_noop("A mail could not be sent and is not tried again"))
EVENTS.add("seals.differ", gettext_noop("Rows have changed since they were sealed"))
EVENTS.add("site.time_zone_set", gettext_noop("Time zone of the site set"))
EVENTS.add("user.created", gettext_noop("User created"))
EVENTS.add("user.name_shared", gettext_noop("The user name %(name)s is like another user’s, %(other)s"))
EVENTS.add("user.logged_in", gettext_noop("Logged in"))
EVENTS.add("user.confirmed", gettext_noop("Confirmed before a sensitive act"))
EVENTS.add("user.reset_requested", gettext_noop("Link for a lost password requested"))
EVENTS.add("user.password_reset_by_mail", gettext_noop("Password changed by a link in a mail"))
EVENTS.add("user.mail_changed", gettext_noop("Mail address changed"))
EVENTS.add("user.mail_asked", gettext_noop("Change of the mail address requested"))
EVENTS.add("user.all_sessions_ended", gettext_noop("All sessions of a user ended by an admin"))
EVENTS.add("user.sessions_ended", gettext_noop("Other sessions logged out"))
EVENTS.add("user.made_admin", gettext_noop("Made an admin of the platform"))
EVENTS.add("user.admin_withdrawn", gettext_noop("No admin of the platform any more"))
EVENTS.add("user.login_refused", gettext_noop("Login refused"))
EVENTS.add("user.second_step_failed", gettext_noop("Wrong code or passkey"))
EVENTS.add("user.sign_on_failed", gettext_noop("Single sign-on failed"), when("reason", "(%(reason)s)"))
EVENTS.add("user.sign_on_cancelled", gettext_noop("Single sign-on cancelled"))
EVENTS.add("user.sign_on_linked", gettext_noop("Single sign-on linked"))
EVENTS.add("user.sign_on_unlinked", gettext_noop("Link of single sign-on removed"))
EVENTS.add("user.created_at_sign_on", gettext_noop("Account made at the first single sign-on"))
EVENTS.add("user.app_added", gettext_noop("Authenticator app set up"))
EVENTS.add("user.app_removed", gettext_noop("Authenticator app removed"))
EVENTS.add("user.passkey_added", gettext_noop("Passkey added"))
EVENTS.add("user.passkey_renamed", gettext_noop("Passkey renamed"))
EVENTS.add("user.passkey_removed", gettext_noop("Passkey removed"))
EVENTS.add("user.recovery_codes_made", gettext_noop("Recovery codes made"))
EVENTS.add(
    "user.recovery_code_used",
    ngettext_noop("Recovery code used, %(n)d is left", "Recovery code used, %(n)d are left", "left"),
    n="left",
)
EVENTS.add("site.second_factor_required", gettext_noop("Second factor required of admins"))
EVENTS.add("site.second_factor_optional", gettext_noop("Second factor no longer required of admins"))
EVENTS.add("user.factors_reset", gettext_noop("Second factors removed by an admin"))
EVENTS.add("user.logged_out", gettext_noop("Logged out"))
EVENTS.add("user.login_failed", gettext_noop("Wrong password"))
EVENTS.add("user.login_slowed", gettext_noop("Too many wrong passwords: logins are limited for a while"))
EVENTS.add("user.password_changed", gettext_noop("Own password changed"))
EVENTS.add("user.password_reset", gettext_noop("Password reset by an admin"))
EVENTS.add("user.deactivated", gettext_noop("User deactivated"))
EVENTS.add("user.reactivated", gettext_noop("User reactivated"))
EVENTS.add("user.creation_allowed", gettext_noop("User may create datasets"))
EVENTS.add("user.creation_withdrawn", gettext_noop("User may not create datasets any more"))

# What happened to a job. Its event also names the kind of job.
JOB_ACTS = Messages("acts of jobs")
JOB_ACTS.add("job.queued", gettext_noop("requested"))
JOB_ACTS.add("job.retried", gettext_noop("tried again"))
JOB_ACTS.add("job.succeeded", gettext_noop("done"))
JOB_ACTS.add("job.failed", gettext_noop("failed"))
JOB_ACTS.add("job.paused", gettext_noop("paused"))
JOB_ACTS.add("job.resumed", gettext_noop("resumed"))
JOB_ACTS.add("job.cancelled", gettext_noop("cancelled"))
JOB_ACTS.add("job.cancel_requested", gettext_noop("stop requested"))
for _act in JOB_ACTS:
    EVENTS.add(_act, "%(kind)s:", *JOB_ACTS[_act], kind=_job_kind)

# Labels of kinds whose sentence needs data of the event.
EVENT_NAMES = Messages("kinds of events")
EVENT_NAMES.add("decision.recorded", gettext_noop("Answer recorded"))
EVENT_NAMES.add("member.made_adjudicator", gettext_noop("Adjudicator named"))
EVENT_NAMES.add("member.adjudicator_ended", gettext_noop("End of an adjudicator"))
EVENT_NAMES.add("member.role_set", gettext_noop("Role given"))
EVENT_NAMES.add("queue.part_assigned", gettext_noop("Part of the queue assigned"))
EVENT_NAMES.add("queue.part_taken_back", gettext_noop("Part of the queue no longer assigned"))
EVENT_NAMES.add("requalification.due", gettext_noop("Requalification due"))
EVENT_NAMES.add("requalification.begun", gettext_noop("Requalification: test begun"))
EVENT_NAMES.add("requalification.passed", gettext_noop("Requalification: test passed"))
EVENT_NAMES.add("requalification.failed", gettext_noop("Requalification: test not passed"))
EVENT_NAMES.add("requalification.waived", gettext_noop("Requalification waived"))
EVENT_NAMES.add("requalification.offered", gettext_noop("Requalification: test offered again"))
EVENT_NAMES.add("member.goal_set", gettext_noop("Daily goal set"))
EVENT_NAMES.add("member.removed", gettext_noop("Member removed"))
EVENT_NAMES.add("user.name_shared", gettext_noop("User name like another user’s"))

# -- notices of the overview: title, text and action --------------------------------------------------------

NOTICES = Messages("notices of the overview")
NOTICES.add(
    "failed_job",
    gettext_noop("%(work)s: failed"),
    when("error", "%(error)s"),
    when(
        lambda v: not v["error"],
        gettext_noop("The reason was not recorded; see the server's log."),
    ),
    gettext_noop("See what ran"),
)
NOTICES.add(
    "prepared_encoder",
    gettext_noop("The encoder %(name)s is ready to be switched over to"),
    gettext_noop("An admin compares it with the encoder in use, then switches over or cancels the change."),
    gettext_noop("See the figures"),
)
NOTICES.add(
    "unreadable",
    ngettext_noop("%(n)d image could not be read", "%(n)d images could not be read"),
    gettext_noop(
        "They stay in the dataset without a prediction and are not reviewed. Send them again as PNG or JPEG."
    ),
    gettext_noop("See the models"),
)
NOTICES.add(
    "long_prompts",
    ngettext_noop("%(n)d prompt is too long for the encoder", "%(n)d prompts are too long for the encoder"),
    gettext_noop("Only its beginning is read. Shorten it: %(labels)s."),
    gettext_noop("Edit the prompts"),
)

# Why an act on chosen images leaves some of them out (review.chosen_images).
USE_LEFT_OUT = Messages("images that an act leaves out")
USE_LEFT_OUT.add(
    "blind",
    ngettext_noop(
        "%(shown)s image of the audit sample must be judged blind first.",
        "%(shown)s images of the audit sample must be judged blind first.",
    ),
    shown=("n", count),
)
USE_LEFT_OUT.add(
    "excluded",
    ngettext_noop(
        "%(shown)s image is excluded.",
        "%(shown)s images are excluded.",
    ),
    shown=("n", count),
)
USE_LEFT_OUT.add(
    "waiting",
    ngettext_noop(
        "%(shown)s image waits already or is set aside.",
        "%(shown)s images wait already or are set aside.",
    ),
    shown=("n", count),
)
USE_LEFT_OUT.add(
    "unlabelled",
    ngettext_noop(
        "%(shown)s image has no label of a person.",
        "%(shown)s images have no label of a person.",
    ),
    shown=("n", count),
)
USE_LEFT_OUT.add(
    "not_trained_excluded",
    ngettext_noop(
        "%(shown)s image is excluded and not trained on anyway.",
        "%(shown)s images are excluded and not trained on anyway.",
    ),
    shown=("n", count),
)
USE_LEFT_OUT.add(
    "not_trained_audit",
    ngettext_noop(
        "%(shown)s image of the audit sample is not trained on anyway.",
        "%(shown)s images of the audit sample are not trained on anyway.",
    ),
    shown=("n", count),
)
USE_LEFT_OUT.add(
    "not_trained",
    ngettext_noop(
        "%(shown)s image has no label that heads are trained on.",
        "%(shown)s images have no label that heads are trained on.",
    ),
    shown=("n", count),
)
