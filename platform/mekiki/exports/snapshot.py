"""Fixes the contents of a label set in one statement. The file is written from these contents."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet, ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext_lazy, override

from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.exports.certificate_record import take_record
from mekiki.exports.facts import machine_counts, once_critical
from mekiki.exports.machine_facts import machine_facts, not_accepted
from mekiki.exports.models import LabelSet
from mekiki.exports.selectors import hidden_machine_labels
from mekiki.exports.view_images import view_images
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import current_schema
from mekiki.learning.accuracy import (
    COUNT_COLUMNS,
    AuditCounts,
    all_notes,
    changes_since,
    counts_of,
    headline,
    notes_on_counts,
    support_sentence,
)
from mekiki.learning.models import Evaluation, Head
from mekiki.learning.selectors import champion
from mekiki.quality.models import Certificate
from mekiki.review.audit_counts import audit_counts
from mekiki.review.exclusions import excluded_count
from mekiki.review.models import BLIND_STREAMS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# Labels of people and, with a head and a threshold, labels of the head for images that nobody has decided.
# Answers that only measure a reviewer count as no opinion. Skipped and flagged images are left to people.
# Images that wait for a blind decision are left out too, because the reviewer could read the prediction in
# the file. Certified labels of such images are not left out: the record of the certificate names its whole
# pool anyway, so reviewers cannot read the file while such an image waits.
_TAKE = """
WITH standing AS (
    SELECT d.image_id, d.kind FROM review_decision d
    WHERE d.dataset_id = %(dataset)s AND d.kind <> 'undo'
      AND NOT EXISTS (SELECT 1 FROM review_decision later WHERE later.supersedes_id = d.id)
      AND NOT EXISTS (SELECT 1 FROM review_queueitem t WHERE t.id = d.item_id
                      AND t.stream IN ('gold', 'repeat'))
), entry AS (
    SELECT c.image_id, c.label_id, c.decision_id, o.n AS opinions,
           NULL::bigint AS head_id, NULL::double precision AS confidence
    FROM review_confirmedlabel c
    JOIN (SELECT image_id, count(*) AS n FROM standing WHERE kind IN ('confirm', 'correct', 'rule') \
GROUP BY image_id) o
      ON o.image_id = c.image_id
    WHERE c.dataset_id = %(dataset)s AND c.label_id = ANY(%(labels)s)
    UNION ALL
    SELECT p.image_id, p.label_id, NULL, 0, p.head_id, p.confidence
    FROM learning_prediction p
    WHERE p.head_id = %(head)s AND p.confidence >= %(threshold)s AND p.label_id = ANY(%(by_machine)s)
      AND NOT EXISTS (SELECT 1 FROM standing s WHERE s.image_id = p.image_id)
      AND NOT EXISTS (SELECT 1 FROM review_queueitem q WHERE q.dataset_id = %(dataset)s \
AND q.image_id = p.image_id
                      AND q.state = 'waiting' AND q.stream = ANY(%(blind)s))
    UNION ALL
    SELECT m.image_id, m.label_id, NULL, 0, %(certified_head)s, m.confidence
    FROM quality_machinelabel m
    JOIN quality_certificateimage p ON p.certificate_id = m.certificate_id AND p.image_id = m.image_id
        AND p.label_id = m.label_id AND p.rank BETWEEN 1 AND %(region)s
    WHERE m.certificate_id = %(certificate)s AND m.label_id = ANY(%(not_critical)s)
      AND NOT EXISTS (SELECT FROM review_confirmedlabel c WHERE c.image_id = m.image_id)
      AND NOT EXISTS (SELECT 1 FROM standing s WHERE s.image_id = m.image_id)
)
INSERT INTO exports_labelsetentry
    (label_set_id, position, image_id, label_id, decision_id, opinions, head_id, confidence)
SELECT %(label_set)s, row_number() OVER (ORDER BY i.sha256 COLLATE "C"),
       e.image_id, e.label_id, e.decision_id, e.opinions, e.head_id, e.confidence
FROM entry e JOIN datasets_image i ON i.id = e.image_id AND i.dataset_id = %(dataset)s
WHERE NOT EXISTS (SELECT FROM review_excludedimage x WHERE x.image_id = e.image_id)
"""
# Added for the label set of a saved view.
_ONLY = "AND e.image_id IN ({images})"


def take_snapshot(label_set: LabelSet) -> LabelSet:
    """Fix the entries of a label set, unless they are fixed already; return the label set.

    Raises ValidationError if there is nothing to export, or if machine labels are requested and the champion
    is not calibrated.
    """
    with transaction.atomic():
        label_set = LabelSet.objects.select_for_update().get(pk=label_set.pk)
        if label_set.snapshot:
            return label_set
        # These locks last until the end of the transaction. So no label is renamed or marked critical, and no
        # head is promoted, before the statement below. FOR NO KEY UPDATE does not block new decisions.
        Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=label_set.dataset_id)
        labels = list(Label.objects.select_for_update(no_key=True).filter(dataset_id=label_set.dataset_id))
        head = champion(label_set.dataset)
        certificate = _accepted(label_set)
        if label_set.machine_threshold is not None and (head is None or not head.calibrated):
            raise ValidationError(no_calibrated_head())
        by_machine = [x.pk for x in labels if not x.critical and x.archived_at is None]
        with connection.cursor() as cursor:
            cursor.execute(
                _TAKE + _only_view(label_set, cursor),
                {
                    "dataset": label_set.dataset_id,
                    "label_set": label_set.pk,
                    "labels": [label.pk for label in labels],
                    "by_machine": by_machine if label_set.machine_threshold is not None else [],
                    "head": head.pk if head is not None else None,
                    "threshold": label_set.machine_threshold,
                    "blind": [str(stream) for stream in BLIND_STREAMS],
                    "certificate": certificate.pk if certificate is not None else None,
                    "certified_head": certificate.head_id if certificate is not None else None,
                    "region": certificate.region if certificate is not None else 0,
                    "not_critical": by_machine,
                },
            )
            cursor.execute(
                "SELECT count(decision_id), count(head_id), max(decision_id), array_agg(DISTINCT label_id)"
                " FROM exports_labelsetentry WHERE label_set_id = %s",
                [label_set.pk],
            )
            human, machine, horizon, used = cursor.fetchone()
        if not human and not machine:
            raise ValidationError(nothing_to_export())
        label_set.human_labels, label_set.machine_labels = human, machine
        by_label = machine_counts(label_set.pk) if machine else {}
        label_set.snapshot = {
            "taken_at": clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "by": label_set.created_by.get_username() if label_set.created_by else "",
            "dataset": {"name": label_set.dataset.name, "slug": label_set.dataset.slug},
            "decision_horizon": horizon,
            **_schema_version(label_set.dataset),
            "labels": [
                {
                    "id": label.pk,
                    "name": label.name,
                    # Only of labels with a code. Other label sets have the same bytes as before codes.
                    **({"code": label.code} if label.code else {}),
                    "position": label.position,
                    "critical": label.critical,
                    "guideline": label.guideline,
                    **({"guideline_texts": label.guideline_texts} if label.guideline_texts else {}),
                    "archived": label.archived_at is not None,
                }
                for label in sorted(labels, key=lambda x: (x.position, x.pk))
                if label.archived_at is None or label.pk in used
            ],
            "accuracy": _accuracy(label_set.dataset, head, certified=bool(machine and certificate)),
            # Keys of a JSON object are strings.
            **_left_out(label_set),
            "machine_by_label": {str(label_id): n for label_id, n in sorted(by_label.items())},
            "once_critical": once_critical(sorted(labels, key=lambda x: (x.position, x.pk)), by_label),
        }
        if machine:
            record = take_record(certificate) if certificate is not None else None
            label_set.snapshot |= {
                "machine": machine_facts(label_set, record),
                **({"certificate": record} if record is not None else {}),
            }
        label_set.reserve_labels = hidden_machine_labels(label_set).count() if machine else 0
        label_set.save(update_fields=["human_labels", "machine_labels", "reserve_labels", "snapshot"])
    return label_set


def _only_view(label_set: LabelSet, cursor: Any) -> str:
    """Return the condition for the images of the view of a label set, or an empty text.

    Raises ValidationError if a filter of the view has a value that does not exist any more.
    """
    if not label_set.view_query:
        return ""
    images = view_images(label_set.dataset, label_set.created_by, label_set.view_query).order_by()
    try:
        statement = cursor.mogrify(*images.values("pk").query.sql_with_params())
    except EmptyResultSet:  # the filters exclude each other, or no image was imported on these days
        return "AND FALSE"
    return _ONLY.format(images=statement.replace("%", "%%"))


def _left_out(label_set: LabelSet) -> dict[str, Any]:
    """Return the view of a label set and the number of excluded images, if there are any."""
    view = {"name": label_set.view_name, "query": label_set.view_query}
    excluded = excluded_count(label_set.dataset)
    return {
        **({"view": view} if label_set.view_query else {}),
        **({"excluded": excluded} if excluded else {}),
    }


def _schema_version(dataset: Dataset) -> dict[str, Any]:
    """Return the version of the labels; nothing for a dataset whose labels are older than versions."""
    version = current_schema(dataset)
    if version is None:
        return {}
    return {"schema_version": version.version, "schema_digest": version.digest}


def _accepted(label_set: LabelSet) -> Certificate | None:
    """Lock and return the certificate of a label set. Raises ValidationError if it was stopped meanwhile."""
    if label_set.certificate_id is None:
        return None
    certificate = (
        Certificate.objects.select_for_update(of=("self",), no_key=True)
        .select_related("head")
        .get(pk=label_set.certificate_id)
    )
    if certificate.state != Certificate.State.ACCEPTED:
        raise ValidationError(not_accepted(certificate))
    return certificate


def nothing_to_export() -> "_StrPromise":
    """Return the lazily translated message for a dataset without labels."""
    return gettext_lazy("There is nothing to export yet: nobody has confirmed a label in this dataset.")


def no_calibrated_head() -> "_StrPromise":
    """Return the lazily translated message for machine labels without a calibrated head."""
    return gettext_lazy(
        "Labels set by machine need a calibrated head, but the head in use is not calibrated. "
        "Retrain on confirmed labels first, or freeze people's labels only."
    )


def _accuracy(dataset: Dataset, head: Head | None, *, certified: bool = False) -> dict[str, Any]:
    """Return the accuracy statement: the newest estimate of the head on the audit stream, and its meaning."""
    newest = Evaluation.objects.filter(head=head).order_by("-id").first() if head is not None else None
    now = audit_counts(dataset)
    if head is None or newest is None or newest.n == 0:
        return _no_claim(now)
    stated, since = counts_of(newest), changes_since(newest, now)
    plain = newest.share is None
    en, ja = [], []
    if not plain:
        en.append(
            "Images that came in at different times are weighted by how many each audited one stands for, "
            "so that the estimate is not the plain share."
        )
        ja.append(
            "取り込み時期の異なる画像は、監査した1枚が代表する枚数で重み付けしているため、単純な割合とは異なります。"
        )
    # A claim about the whole dataset requires that every drawn image counts, with a label of the schema.
    if not newest.left_out and not newest.near_trained and not stated and not since:
        en.append("This describes the head's predictions over the whole dataset.")
        ja.append("これはデータセット全体に対する判定モデルの予測の精度です。")
    with override("en"):
        en += all_notes(newest, now)
    with override("ja"):
        ja += all_notes(newest, now)
    return {
        "n": newest.n,
        "correct": newest.correct,
        "estimate": newest.accuracy or 0.0,
        "low": newest.low,
        "high": newest.high,
        "level": 0.95,
        "method": "Wilson" if plain else "Wilson, weighted by stratum",
        "images_left_out": newest.left_out,
        **(
            {
                "audited_near_trained": newest.near_trained,
                "audited_near_trained_right": newest.near_trained_right,
            }
            if newest.near_trained
            else {}
        ),
        "audited_drawn": stated.drawn,
        **{f"audited_{name}": getattr(stated, name) for name in COUNT_COLUMNS},
        "since_stated": {name: n for name in COUNT_COLUMNS if (n := getattr(since, name))},
        "stated_at": newest.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "head": head.version,
        "head_digest": head.digest,
        "statement": {
            "en": _in_english(head, newest, en, certified),
            "ja": _in_japanese(head, newest, ja, certified),
        },
    }


def _no_claim(now: AuditCounts) -> dict[str, Any]:
    """Return the accuracy statement if there is no estimate for the head in use."""
    with override("en"):
        en = ["No accuracy is claimed: the head in use was measured on no image of the random audit sample."]
        en += notes_on_counts(now)
    with override("ja"):
        ja = [
            "精度は主張しません。使用中の判定モデルは、無作為な監査サンプルのどの画像でも測定されていません。"
        ]
        ja += notes_on_counts(now)
    return {
        "n": 0,
        "audited_drawn": now.drawn,
        **{f"audited_{name}": getattr(now, name) for name in COUNT_COLUMNS},
        "statement": {"en": " ".join(en), "ja": "".join(ja)},
    }


def _in_english(head: Head, newest: Evaluation, sentences: list[str], certified: bool) -> str:
    with override("en"):
        figure, rest = headline(newest), support_sentence(newest)
    return (
        f"Of {newest.n} images drawn at random and labelled by people who were not shown the prediction, "
        f"head #{head.version} was right on {newest.correct}. Accuracy: {figure} ({rest}). "
        f"{' '.join([*sentences, ''])}It is not the accuracy of the people's "
        + (
            "labels in this set, nor of the labels set by machine: certificate.json states their bound."
            if certified
            else "labels in this set, and no quality contract stands behind the labels set by machine."
        )
    )


def _in_japanese(head: Head, newest: Evaluation, sentences: list[str], certified: bool) -> str:
    with override("ja"):
        figure, rest = headline(newest), support_sentence(newest)
    return (
        f"無作為に選び、予測を見せずに人が判定した{newest.n}枚のうち、判定モデル #{head.version} は"
        f"{newest.correct}枚で正解でした。正解率：{figure}（{rest}）。"
        f"{''.join(sentences)}このラベルセットにある人のラベルの精度ではありません。"
        + (
            "機械が付けたラベルの精度でもありません。その上限は certificate.json に示しています。"
            if certified
            else "機械が付けたラベルに品質契約の裏付けはありません。"
        )
    )
