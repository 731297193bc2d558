"""Pages for the operator: deposits that wait or were refused, the log, and a publication against the gate."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from radcommons.errors import RadCommonsError
from radcommons.hub import drawing, publishing
from radcommons.hub.deposit import LONGEST_REASON
from radcommons.hub.members import text
from radcommons.hub.models import Deposit, LogEntry, Organisation, Reference

SHOWN = 100
A_PAGE = 100
LONG = timedelta(minutes=10)  # that a deposit waits before the page asks whether a worker runs


@never_cache
@staff_member_required(login_url="login")
@require_safe
def desk(request: HttpRequest) -> HttpResponse:
    """Deposits by state, organisations, reference statistics."""
    found = Deposit.objects.select_related("organisation", "user", "revision").order_by("-changed")
    waiting = found.filter(state__in=(Deposit.State.SUBMITTED, Deposit.State.EXAMINING)).order_by("changed")
    return render(
        request,
        "hub/operator.html",
        {
            "waiting": waiting[:SHOWN],
            "is_late": waiting.filter(state=Deposit.State.SUBMITTED, changed__lt=timezone.now() - LONG).exists(),
            "uploading": found.filter(state=Deposit.State.UPLOADING)[:SHOWN],
            "drawings": drawing.queue().count(),
            "most_drawings": drawing.MOST_WAITING,
            "refused": found.filter(state=Deposit.State.REFUSED)[:SHOWN],
            "organisations": Organisation.objects.annotate(count=Count("generators")).order_by("name")[:SHOWN],
            "references": Reference.objects.order_by("name"),
        },
    )


@never_cache
@staff_member_required(login_url="login")
@require_safe
def log(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first."""
    page = Paginator(LogEntry.objects.all(), A_PAGE).get_page(request.GET.get("page"))
    return render(request, "hub/log.html", {"page": page})


@staff_member_required(login_url="login")
@require_POST
def publish(request: HttpRequest, deposit_id: str) -> HttpResponse:
    """Publish a deposit that the gate refused; the reason is public."""
    found = get_object_or_404(Deposit, pk=deposit_id, state=Deposit.State.REFUSED)
    reason = text(request, "reason", most=LONGEST_REASON)
    if not reason:
        messages.error(request, "Nothing was published: give a reason, which everybody can read.")
        return redirect("deposit-page", deposit_id)
    try:
        revision = publishing.publish(found, found.verdict or {}, who=request.user.get_username(), override=reason)
    except RadCommonsError as error:
        messages.error(request, f"Nothing was published: {error}")
        return redirect("deposit-page", deposit_id)
    return redirect("generator", revision.generator.organisation.name, revision.generator.name)
