"""The command `mekiki certify SLUG`: plan and start a certificate, show its state, accept its result."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.accounts.selectors import user_named
from mekiki.datasets.access import dataset_at
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.jobs.models import ACTIVE_STATES, Job
from mekiki.learning.figures import count
from mekiki.learning.selectors import champion
from mekiki.quality.certificate_facts import audit_facts, next_step, statement
from mekiki.quality.certificate_progress import audit_progress
from mekiki.quality.certificate_work import stopped_plan, stopped_work
from mekiki.quality.models import Certificate, CertificatePlan
from mekiki.quality.plan_facts import plan_facts
from mekiki.quality.plans import plan_numbered
from mekiki.quality.services.certificates import accept, request_plan, start_planned
from mekiki.quality.summaries import certificate_summary, plan_summary
from verification.certificates.protocol import PLAN_LEVELS, TESTS, WATCHED, Protocol

POLL_SECONDS = 0.3
USUAL_CRITICAL_BOUND = 0.05  # as the form proposes it


class Command(BaseCommand):
    """Plan and start a certificate, show its state, or accept its result. A worker must be running."""

    help = "Plan and start a certificate of labels set by machine, show its state, or accept its result."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: the statement, the numbers of the audit, and the act."""
        parser.add_argument("slug", help="address of the dataset")
        parser.add_argument("--alpha", type=float, default=0.02, help="largest share of wrong labels")
        parser.add_argument("--delta", type=float, default=0.05, help="risk that the statement is false")
        parser.add_argument("--critical-bound", type=float, help="bound for critical labels")
        parser.add_argument("--import", dest="batch", type=int, help="number of an import")
        parser.add_argument("--only-label", default="", help="only images with this predicted label")
        parser.add_argument("--only-metadata", default="", help="only images with this metadata, KEY=VALUE")
        parser.add_argument("--overlap", type=int, default=1, help="reviewers for each audited image")
        parser.add_argument("--test", choices=TESTS, default=WATCHED, help="the test")
        parser.add_argument("--label-alpha", nargs="*", default=(), help="NAME=SHARE …")
        parser.add_argument("--words", default="", help="public words")
        parser.add_argument("--note", default="", help="a note")
        parser.add_argument("--limit", type=int, help="largest number of images that people decide")
        parser.add_argument("--first", type=float, help="the first region, as a share")
        parser.add_argument("--plan", action="store_true", help="print the plan only")
        parser.add_argument("--state", action="store_true", help="show the newest certificate")
        parser.add_argument("--accept", action="store_true", help="accept the newest certificate")
        parser.add_argument("--user", default="", help="name of the admin who acts")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command. It starts nothing with --plan, --state or --accept."""
        dataset = dataset_at(options["slug"])
        if dataset is None:
            raise CommandError(_("There is no dataset at /d/%(slug)s/.") % {"slug": options["slug"]})
        if sum(options[act] for act in ("plan", "state", "accept")) > 1:
            raise CommandError(_("Give only one of --plan, --state and --accept."))
        if options["state"]:
            self._show(self._newest(dataset), options)
            return
        user = self._user(options["user"])
        try:
            if options["accept"]:
                self._accept(dataset, user, options)
            else:
                self._plan_and_start(dataset, user, options)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except PermissionDenied as error:
            raise CommandError(str(error) or _("This user is not an admin of the dataset.")) from None

    def _user(self, name: str) -> User:
        if not name:
            raise CommandError(_("Who acts? Give the name of an admin of the dataset: --user NAME."))
        user = user_named(name)
        if user is None:
            raise CommandError(_("There is no user “%(name)s”.") % {"name": name})
        return user

    def _newest(self, dataset: Dataset) -> Certificate:
        rows = Certificate.objects.filter(dataset=dataset).select_related("head", "job", "created_by")
        certificate = rows.first()
        if certificate is None:
            raise CommandError(_("This dataset has no certificate yet."))
        certificate.dataset = dataset
        return certificate

    def _plan_and_start(self, dataset: Dataset, user: User, options: dict[str, Any]) -> None:
        plan = self._planned(dataset, user, options)
        facts = plan_facts(plan, champion(dataset))
        if options["plan"]:
            self._print_plan(plan, options)
            return
        if not options["json"]:
            self._print_plan(plan, options)
        first = options["first"] if options["first"] is not None else facts.first
        if not 0 < first <= 1:
            raise CommandError(_("--first is a share of the candidates, such as 0.7. Nothing was started."))
        certificate = start_planned(
            plan=plan,
            user=user,
            limit=options["limit"] or facts.limit,
            levels=sorted({first, *(level for level in PLAN_LEVELS if level > first)}),
        )
        certificate.refresh_from_db()
        self._wait(certificate.job)
        self._show(self._newest(dataset), options)

    def _planned(self, dataset: Dataset, user: User, options: dict[str, Any]) -> CertificatePlan:
        batch = None
        if options["batch"] is not None:
            batch = ImportBatch.objects.filter(dataset=dataset, pk=options["batch"]).first()
            if batch is None:
                raise CommandError(_("This dataset has no such import."))
        bound = options["critical_bound"]
        if bound is None and dataset.labels.filter(critical=True, archived_at__isnull=True).exists():
            bound = USUAL_CRITICAL_BOUND
        try:
            protocol = Protocol(
                alpha=options["alpha"],
                delta=options["delta"],
                limit=1,
                test=options["test"],
                critical_bound=bound,
                alpha_by_label=_label_alphas(dataset, options["label_alpha"]),
                scope=_scope(dataset, options["only_label"], options["only_metadata"]),
            )
        except ValueError as error:
            raise CommandError(
                _("These values do not fit together. Nothing was started; change the values.")
            ) from error
        plan = request_plan(
            dataset=dataset,
            user=user,
            protocol=protocol,
            overlap=options["overlap"],
            batch=batch,
            public_words=options["words"],
            note=options["note"],
        )
        self._wait(plan.job)
        computed = plan_numbered(dataset, plan.number)
        if computed is None or computed.computed_at is None:
            stopped = stopped_plan(computed) if computed is not None else None
            why = stopped.reason if stopped is not None else ""
            raise CommandError(_("The plan was not computed. %(why)s") % {"why": why})
        return computed

    def _accept(self, dataset: Dataset, user: User, options: dict[str, Any]) -> None:
        certificate = accept(certificate=self._newest(dataset), user=user)
        certificate.refresh_from_db()
        self._wait(certificate.job)
        self._show(self._newest(dataset), options)

    def _wait(self, job: Job | None) -> None:
        """Wait until a job has ended."""
        while job is not None:
            job.refresh_from_db()
            if job.state not in ACTIVE_STATES:
                return
            time.sleep(POLL_SECONDS)

    def _print_plan(self, plan: CertificatePlan, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(plan_summary(plan), ensure_ascii=False, indent=2))
            return
        facts = plan_facts(plan, champion(plan.dataset))
        self.stdout.write(
            _("Plan %(number)s, a forecast and no promise. Nothing is frozen by it.")
            % {"number": plan.number}
        )
        lines = [facts.headline, facts.basis, facts.pace, facts.left_out]
        for line in [*lines, *(notice.text for notice in facts.notices)]:
            if line:
                self.stdout.write(line)
        for row in facts.rows:
            self.stdout.write(
                "  "
                + _(
                    "at most %(alpha)s wrong, people decide at most %(limit)s: %(images)s labels by machine, "
                    "%(audits)s audited images, %(minutes)s"
                )
                % {
                    "alpha": row.alpha,
                    "limit": count(row.limit),
                    "images": row.images,
                    "audits": row.audits,
                    "minutes": row.minutes,
                }
                + (" ←" if row.chosen else "")
            )
        self.stdout.write(
            _("Proposed: --limit %(limit)s --first %(first)s") % {"limit": facts.limit, "first": facts.first}
        )

    def _show(self, certificate: Certificate, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(certificate_summary(certificate), ensure_ascii=False, indent=2))
            return
        facts, progress = audit_facts(certificate), audit_progress(certificate)
        self.stdout.write(
            _("Certificate %(version)s: %(state)s")
            % {"version": certificate.version, "state": certificate.get_state_display()}
        )
        self.stdout.write(statement(certificate))
        if certificate.commitment:
            self.stdout.write(_("Commitment: %(hash)s") % {"hash": certificate.commitment})
        if (stopped := stopped_work(certificate)) is not None:
            self.stdout.write(f"{stopped.reason} {stopped.kept}")
        elif certificate.state == Certificate.State.AUDITING:
            self.stdout.write(next_step(certificate, facts))
        self.stdout.write(
            _("Judged images: %(labelled)s of %(drawn)s drawn; not resolved: %(unresolved)s")
            % {
                "labelled": count(progress.labelled),
                "drawn": count(progress.drawn),
                "unresolved": count(progress.unresolved),
            }
        )
        if facts is not None and facts.by_machine:
            self.stdout.write(
                _(
                    "Labels by machine: %(machine)s, of which at most %(wrong)s are wrong; by people: "
                    "%(people)s"
                )
                % {
                    "machine": count(facts.by_machine),
                    "wrong": count(facts.check.promised),
                    "people": count(facts.by_people),
                }
            )
        if certificate.accepted:
            self.stdout.write(_("Labels set: %(n)s") % {"n": count(certificate.accepted)})


def _scope(dataset: Dataset, label: str, metadata: str) -> dict[str, str]:
    """Return the scope of a protocol; empty for all images."""
    scope = {"metadata": metadata} if metadata else {}
    if label:
        chosen = dataset.labels.filter(archived_at__isnull=True, name=label).first()
        if chosen is None:
            raise CommandError(
                _("There is no label “%(name)s” in this dataset. Nothing was started.") % {"name": label}
            )
        scope["label"] = str(chosen.pk)
    return scope


def _label_alphas(dataset: Dataset, given: Sequence[str]) -> dict[str, float]:
    """Return label id, as text → its own share, from texts such as “scratch=0.01”."""
    ids = dict(dataset.labels.filter(archived_at__isnull=True).values_list("name", "pk"))
    shares = {}
    for text in given:
        name, _sign, share = text.rpartition("=")
        try:
            shares[str(ids[name])] = float(share)
        except (KeyError, ValueError):
            raise CommandError(
                _("“%(text)s” is no label with a share, such as “scratch=0.01”. Nothing was started.")
                % {"text": text}
            ) from None
    return shares
