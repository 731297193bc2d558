"""Work in the background: the gate examines a submitted deposit; what was killed half-way is begun again."""

import logging
import shutil
from datetime import timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django_tasks import task
from django_tasks_db.models import DBTaskResult

from radcommons.errors import DiskFull, GateRefused
from radcommons.hub.examination import verdict_of
from radcommons.hub.files import content_stays
from radcommons.hub.models import Deposit, LogEntry, RevisionFile
from radcommons.hub.publishing import delete_unused, publish
from radcommons.hub.staging import examined_here, staging

logger = logging.getLogger(__name__)

ATTEMPTS = 3  # a deposit whose examination breaks off so often is refused
KEPT = timedelta(days=30)  # the files of refused or unfinished deposits
GATE = "the gate"
WAITING = (Deposit.State.SUBMITTED, Deposit.State.EXAMINING)


@task()
def examine(deposit_id: str) -> None:
    """Examine a deposit, then publish or refuse it; nothing if another worker does, or did."""
    deposit = Deposit.objects.filter(pk=deposit_id).first()
    if deposit is None or deposit.state not in WAITING:
        return
    with examined_here(deposit) as is_ours:
        if not is_ours or deposit.state not in WAITING:
            return
        deposit.state, deposit.attempts = Deposit.State.EXAMINING, deposit.attempts + 1
        deposit.examined_since = timezone.now()
        deposit.save()
        try:
            verdict = verdict_of(deposit)
            if verdict["passed"]:
                revision = publish(deposit, verdict, who=GATE)
                about = {"generator": revision.generator.reference, "sha": revision.sha}
                logger.info("published", extra={"fields": about})
            else:
                refuse(deposit, verdict)
        except GateRefused as refusal:
            refuse(deposit, {"passed": False, "reasons": [str(refusal)], "lines": []})
        except (OSError, DiskFull):  # not the deposit's fault: it is examined again until the machine can
            logger.exception("an examination broke off")
            Deposit.objects.filter(pk=deposit.pk).update(attempts=F("attempts") - 1)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("an examination broke off")


def refuse(deposit: Deposit, verdict: dict[str, object]) -> None:
    """Keep a verdict that does not let a deposit through."""
    with transaction.atomic():
        deposit.state, deposit.verdict = Deposit.State.REFUSED, verdict
        deposit.save()
        LogEntry.add(GATE, "refused", deposit, reasons=verdict["reasons"])


def begin_again() -> int:
    """Queue every deposit that waits for a verdict, but that no worker examines and no queue holds; returns how many.

    A worker that is killed, or whose database goes away, leaves such a deposit, and a task that runs for ever.
    """
    ready, running = DBTaskResult.objects.ready(), DBTaskResult.objects.running()
    queued = {task.args_kwargs["args"][0] for task in ready}
    begun = 0
    for deposit in Deposit.objects.filter(state__in=WAITING):
        with examined_here(deposit) as is_free:
            if not is_free or deposit.pk in queued or deposit.state not in WAITING:
                continue
            for task in running:
                if task.args_kwargs["args"] == [deposit.pk]:
                    task.set_failed(RuntimeError("its worker was killed"))
            if deposit.attempts >= ATTEMPTS:
                reason = f"its examination broke off {ATTEMPTS} times; tell the operator"
                refuse(deposit, {"passed": False, "reasons": [reason], "lines": []})
            else:
                Deposit.objects.filter(pk=deposit.pk).update(state=Deposit.State.SUBMITTED)
                examine.enqueue(deposit.pk)
                begun += 1
    return begun


def remove_old() -> None:
    """Delete the files of deposits that are done or that nobody touched for long, and what a kill left of them."""
    long_ago = timezone.now() - KEPT
    Deposit.objects.filter(state=Deposit.State.UPLOADING, changed__lt=long_ago).update(state=Deposit.State.ABANDONED)
    done = Q(state__in=(Deposit.State.PUBLISHED, Deposit.State.ABANDONED))
    for deposit in Deposit.objects.filter(done | Q(state=Deposit.State.REFUSED, changed__lt=long_ago)):
        if staging(deposit).exists():
            shutil.rmtree(staging(deposit), ignore_errors=True)
    DBTaskResult.objects.finished().filter(finished_at__lt=long_ago).delete()
    withdrawn = RevisionFile.objects.filter(revision__generator__withdrawn__isnull=False)
    with content_stays():
        delete_unused(set(withdrawn.values_list("sha256", flat=True)))
