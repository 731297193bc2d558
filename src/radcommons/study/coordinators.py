"""The coordinator's pages: who has read how much, invitations, pause, export, log."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Max, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from radcommons.study import export
from radcommons.study.begun import has_begun
from radcommons.study.models import TIMED_OUT, LogEntry, Reader, Trial, new_key
from radcommons.study.reading import the_study

A_PAGE = 100
LONGEST_NAME = 100
View = Callable[..., HttpResponse]


def coordinator(view: View) -> View:
    """For the coordinator: others log in first, and readers are refused."""

    @wraps(view)
    def checked(request: HttpRequest, *arguments: object, **named: object) -> HttpResponse:
        if request.user.is_staff:
            return view(request, *arguments, **named)
        if request.user.is_authenticated or "reader" in request.session:
            raise PermissionDenied
        return redirect_to_login(request.get_full_path())

    return never_cache(checked)


@coordinator
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Every reader's progress; nothing of how well they read."""
    study = the_study()
    design = study.settings
    counted = Q(showings__answered__isnull=False, showings__position__gte=design.practice)
    readers = Reader.objects.annotate(
        done=Count("showings", filter=counted),
        late=Count("showings", filter=counted & Q(showings__answer=TIMED_OUT)),
        last=Max("showings__answered"),
    ).order_by("pk")
    words = {
        "readers": readers,
        "design": design,
        "total": sum(not image.practice for image in study.images),
        "images": len(study.images),
        "covered": sum(bool(image.boxes) for image in study.images),
        "closed": has_begun(study.folder),
        "paused": Trial.objects.get().paused,
        "formats": export.FORMATS,
    }
    return render(request, "study/dashboard.html", words)


@coordinator
@require_safe
def reader(request: HttpRequest, number: int) -> HttpResponse:
    """One reader: the link, the displays."""
    found = get_object_or_404(Reader, pk=number)
    link = request.build_absolute_uri(found.link)
    return render(request, "study/reader.html", {"reader": found, "link": link})


@coordinator
@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    """Make an invitation for each name, one a line."""
    group = request.POST.get("group", "")
    lines = (" ".join(line.replace("\0", " ").split()) for line in request.POST.get("names", "").splitlines())
    names = list(dict.fromkeys(line for line in lines if line))
    if group not in the_study().settings.groups:
        raise Http404
    with transaction.atomic():
        Trial.objects.select_for_update().get()  # a form that is sent twice waits here
        taken = Reader.objects.filter(name__in=names).values_list("name", flat=True)
        if taken or any(len(name) > LONGEST_NAME for name in names):
            why = f"already invited: {', '.join(taken)}" if taken else f"a name has at most {LONGEST_NAME} characters"
            messages.error(request, f"Nobody was invited: {why}.")
            return redirect("dashboard")
        for name in names:
            Reader.objects.create(name=name, group=group)
            LogEntry.add(request.user.get_username(), "invited", name, group=group)
    return redirect("dashboard")


@coordinator
@require_POST
def revoke(request: HttpRequest, number: int) -> HttpResponse:
    """End an invitation for good; the answers stay."""
    found = get_object_or_404(Reader, pk=number, revoked=None)
    with transaction.atomic():
        Reader.objects.filter(pk=number).update(revoked=timezone.now())
        LogEntry.add(request.user.get_username(), "invitation revoked", found.name)
    return redirect("reader", number)


@coordinator
@require_POST
def relink(request: HttpRequest, number: int) -> HttpResponse:
    """Make a new link in place of one that is lost; the old one is of no use any more."""
    found = get_object_or_404(Reader, pk=number, revoked=None)
    with transaction.atomic():
        Reader.objects.filter(pk=number).update(key=new_key())
        LogEntry.add(request.user.get_username(), "new link", found.name)
    return redirect("reader", number)


@coordinator
@require_POST
def erase(request: HttpRequest, number: int) -> HttpResponse:
    """Delete the answers and displays of a reader whose invitation is revoked; the name stays, in the log too."""
    with transaction.atomic():
        found = get_object_or_404(Reader.objects.select_for_update(), pk=number, revoked__isnull=False)
        gone, _ = found.showings.all().delete()
        Reader.objects.filter(pk=number).update(displays=[])
        LogEntry.add(request.user.get_username(), "answers deleted", found.name, images=gone)
    return redirect("reader", number)


@coordinator
@require_POST
def pause(request: HttpRequest) -> HttpResponse:
    """Pause or resume: an image that is on a display is finished, and no other is shown."""
    paused = request.POST.get("pause") == "1"
    with transaction.atomic():
        if Trial.objects.exclude(paused=paused).update(paused=paused):
            LogEntry.add(request.user.get_username(), "paused" if paused else "resumed", the_study().settings.title)
    return redirect("dashboard")


@coordinator
@require_safe
def answers(request: HttpRequest, name: str) -> HttpResponse:
    """A file of all answers."""
    if name not in export.FORMATS:
        raise Http404
    LogEntry.add(request.user.get_username(), "exported", name)
    text, kind = export.FORMATS[name]
    return HttpResponse(text(), content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@coordinator
@require_safe
def log(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first."""
    page = Paginator(LogEntry.objects.all(), A_PAGE).get_page(request.GET.get("page"))
    return render(request, "study/log.html", {"page": page})
