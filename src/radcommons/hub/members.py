"""Pages for members of an organisation: their deposits with the gate's reasons, their tokens, withdrawal."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from radcommons.hub.deposit import LONGEST_REASON
from radcommons.hub.models import Deposit, Generator, LogEntry, Membership, Organisation, Token
from radcommons.hub.publishing import withdraw_generator

SHOWN = 100
DAYS = 90, 366  # a token is valid: by default, at most


@never_cache
@login_required
@require_safe
def deposits(request: HttpRequest) -> HttpResponse:
    """The deposits of the user's organisations, newest first."""
    mine = Organisation.objects.filter(members=request.user)
    found = Deposit.objects.select_related("organisation", "user", "revision").filter(organisation__in=mine)
    published = Generator.objects.select_related("organisation").filter(organisation__in=mine, revisions__latest=True)
    return render(
        request,
        "hub/deposits.html",
        {
            "deposits": found.order_by("-created")[:SHOWN],
            "generators": published.filter(withdrawn__isnull=True).order_by("organisation__name", "name"),
            "mine": mine,
            "address": request.build_absolute_uri("/").rstrip("/"),
        },
    )


@never_cache
@login_required
@require_safe
def deposit(request: HttpRequest, deposit_id: str) -> HttpResponse:
    """One deposit: what the gate found, and what to mend. The operator sees those of everybody."""
    found = Deposit.objects.select_related("organisation", "user", "revision").filter(pk=deposit_id).first()
    if found is None or not (request.user.is_staff or is_member(request, found.organisation)):
        raise Http404
    address = request.build_absolute_uri("/").rstrip("/")
    response = render(request, "hub/deposit.html", {"deposit": found, "address": address})
    if found.state in (Deposit.State.SUBMITTED, Deposit.State.EXAMINING):
        response["Refresh"] = "5"
    return response


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """Make and revoke tokens; a new one is shown once."""
    mine, shown = Organisation.objects.filter(members=request.user), ""
    if request.method == "POST" and "revoke" in request.POST:
        token = get_object_or_404(Token, pk=number(request.POST["revoke"], 0), user=request.user)
        token.revoked = timezone.now()
        token.save()
        LogEntry.add(request.user.get_username(), "token revoked", token.organisation, name=token.name)
        messages.info(request, f"The token {token.name} is revoked.")
        return redirect("tokens")
    if request.method == "POST":
        organisation = get_object_or_404(mine, name=request.POST.get("organisation", ""))
        scope = request.POST.get("scope", "")
        if scope not in Token.Scope.values:
            raise Http404
        days = number(request.POST.get("days", ""), DAYS[0])
        name = text(request, "name", most=100) or "unnamed"
        _, shown = Token.make(
            days=min(DAYS[1], max(1, days)), organisation=organisation, user=request.user, name=name, scope=scope
        )
        LogEntry.add(request.user.get_username(), "token made", organisation, name=name, scope=scope)
    held = Token.objects.select_related("organisation").filter(user=request.user, revoked__isnull=True)
    return render(
        request,
        "hub/tokens.html",
        {
            "tokens": held.order_by("-created"),
            "mine": mine,
            "shown": shown,
            "scopes": Token.Scope.choices,
            "days": DAYS,
        },
    )


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, organisation: str, name: str) -> HttpResponse:
    """Withdraw a generator, after its name was typed and a reason given."""
    found = get_object_or_404(
        Generator.objects.select_related("organisation"), organisation__name=organisation, name=name
    )
    if not (request.user.is_staff or is_member(request, found.organisation)):
        raise Http404
    if request.method == "POST" and found.withdrawn is None:
        reason = text(request, "reason", most=LONGEST_REASON)
        if request.POST.get("typed") == found.reference and reason:
            withdraw_generator(found, request.user.get_username(), reason)
            return redirect("generator", organisation, name)
        messages.error(request, "Nothing was withdrawn: type the generator's name as it is, and give a reason.")
    return render(request, "hub/withdraw.html", {"generator": found})


def is_member(request: HttpRequest, organisation: Organisation) -> bool:
    """Whether the user belongs to an organisation."""
    return (
        request.user.is_authenticated
        and Membership.objects.filter(organisation=organisation, user=request.user).exists()
    )


def text(request: HttpRequest, field: str, *, most: int) -> str:
    """What a form says in a field, on one line and without what no database keeps."""
    return " ".join(request.POST.get(field, "").replace("\0", " ").split())[:most]


def number(written: str, otherwise: int) -> int:
    """A number of a form, or another if it is none."""
    return int(written[:9]) if written.isascii() and written.isdecimal() else otherwise
