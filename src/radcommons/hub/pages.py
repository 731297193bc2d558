"""Pages of the hub that everybody can read."""

from collections.abc import Callable
from functools import lru_cache

from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from radcommons.hub import drawing
from radcommons.hub.hugging_face import SORTS, listed, rows_of, searched
from radcommons.hub.members import is_member
from radcommons.hub.models import Generator, LogEntry, Revision, SigningKey
from radcommons.hub.package_texts import card_of, explanation_of, study_of
from radcommons.pages import sentences
from radcommons.records import Estimate

A_PAGE = 24
NEWEST = "createdAt"
RANKINGS = {  # of the orders in SORTS, in words
    NEWEST: "newest first",
    "fid": "lowest Frechet distance (FID)",
    "coverage": "highest coverage",
    "recall": "highest recall",
    "downloads": "most fetched",
}
MOST_KNOWN = 500  # names that a page proposes
NAMES = ("generator__organisation__name", "generator__name")
FILTERS = ("family", "resolution", "license")  # fields of a revision
GATE = {"passed": "passed", "against": "published against it"}  # what the hub's gate said, in words
MEASURES = (  # of the images against the site's held-out films: in words, in a summary, format
    ("Frechet distance (FID), 0 = alike", "fid", ".1f"),
    ("kernel distance (KID), 0 = alike", "kid", ".4f"),
    ("precision, 1 = alike", "precision", ".2f"),
    ("recall, 1 = alike", "recall", ".2f"),
    ("density, 1 = alike", "density", ".2f"),
    ("coverage, 1 = alike", "coverage", ".2f"),
)


@require_safe
def generators(request: HttpRequest) -> HttpResponse:
    """The list: search, filters, ranking."""
    asked = {name: request.GET.get(name, "") for name in ("search", "finding", *FILTERS, "gate", "rank")}
    chosen = searched(listed(), asked["search"])
    if asked["finding"]:
        chosen = chosen.filter(tags__tag=asked["finding"])
    if asked["family"]:
        chosen = chosen.filter(family=asked["family"])
    if asked["resolution"].isdecimal():
        chosen = chosen.filter(resolution=int(asked["resolution"][:9]))
    if asked["license"]:
        chosen = chosen.filter(license=asked["license"])
    if asked["gate"] in GATE:
        chosen = chosen.filter(overridden_by="") if asked["gate"] == "passed" else chosen.exclude(overridden_by="")
    order = SORTS[asked["rank"] if asked["rank"] in RANKINGS else NEWEST]
    page = Paginator(chosen.order_by(order, "-id"), A_PAGE).get_page(request.GET.get("page"))
    page.object_list = rows_of(page.paginator.object_list, A_PAGE * (page.number - 1), A_PAGE * page.number)
    known = choices(LogEntry.newest("published", "withdrawn"))
    query = request.GET.copy()
    query.pop("page", None)
    return render(
        request,
        "hub/generators.html",
        {
            "page": page,
            "asked": asked,
            "query": query.urlencode(),
            "rankings": RANKINGS,
            "gate": GATE,
            "filtered": any(value for name, value in asked.items() if name != "rank"),
            "choices": [(name, asked[name], known[name]) for name in FILTERS],
            "findings": known["findings"],
        },
    )


@require_safe
def generator(request: HttpRequest, organisation: str, name: str) -> HttpResponse:
    """One generator: card, pictures, measures, verdict, files; a tombstone if it was withdrawn."""
    found = get_object_or_404(
        Generator.objects.select_related("organisation"), organisation__name=organisation, name=name
    )
    revisions = list(found.revisions.order_by("-published", "-id"))
    if found.withdrawn is not None:
        return render(request, "hub/withdrawn.html", {"generator": found, "revisions": revisions}, status=410)
    wanted = request.GET.get("revision", "")
    revision = next((r for r in revisions if r.sha == wanted), None) or next(r for r in revisions if r.latest)
    files = list(revision.files.order_by("path"))
    digests = {file.path: file.sha256 for file in files}
    effects, correlation = explanation_of(digests)
    return render(
        request,
        "hub/generator.html",
        {
            "generator": found,
            "revision": revision,
            "revisions": revisions,
            "files": files,
            "measures": [(words, *measured(revision, name, form)) for words, name, form in MEASURES],
            "privacy": sentences(revision.summary["privacy_statement"]),
            "card": card_of(digests),
            "study": study_of(digests, revision.weights_sha256),
            "effects": effects,
            "correlation": correlation,
            "key": SigningKey.objects.filter(fingerprint=revision.key_fingerprint).first(),
            "address": request.build_absolute_uri("/").rstrip("/"),
            "reference": f"hub://{request.get_host()}/{found.reference}@{revision.sha}",
            "may_withdraw": request.user.is_staff or is_member(request, found.organisation),
        },
    )


@require_safe
def draw(request: HttpRequest, organisation: str, name: str) -> HttpResponse:
    """Films on demand: sliders for the findings, a seed, and the films that they give."""
    revision = _newest(organisation, name)
    if revision is None:
        return redirect("generator", organisation, name)
    asked, seed = _asked(request, revision)
    state = "ready"
    try:
        if not drawing.wanted(revision, asked, seed):
            state = "waiting"
    except drawing.TooMany:
        state = "busy"
    response = render(
        request,
        "hub/draw.html",
        {
            "revision": revision,
            "generator": revision.generator,
            "sliders": [(n, finding, asked.get(finding, 0.0)) for n, finding in enumerate(revision.findings)],
            "seed": seed,
            "next_seed": (seed + 1) % drawing.SEEDS,
            "most": drawing.SEEDS - 1,
            "state": state,
            "queued": drawing.queue().count() if state == "waiting" else 0,
            "labels": ", ".join(f"{f} {v:g}" for f, v in asked.items()) or "no finding",
            "query": request.GET.urlencode(),
        },
        status=503 if state == "busy" else 200,
    )
    if state == "waiting":
        response["Refresh"] = "1"
    return response


@require_safe
def drawn(request: HttpRequest, organisation: str, name: str) -> HttpResponse:
    """The picture of the page above."""
    revision = _newest(organisation, name)
    if revision is None:
        raise Http404
    file = drawing.drawing_name(revision, *_asked(request, revision))
    if not default_storage.exists(file):
        raise Http404
    return FileResponse(default_storage.open(file), content_type="image/png")


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Two generators side by side."""
    names = [request.GET.get(side, "") for side in ("a", "b")]
    pair = [_newest(*name.split("/", 1)) if name.count("/") == 1 else None for name in names]
    both = [revision for revision in pair if revision is not None]
    rows = [(words, [value(one) for one in both]) for words, value in COMPARED] if len(both) == 2 else []
    return render(
        request,
        "hub/compare.html",
        {
            "names": names,
            "pair": pair,
            "rows": rows,
            "known": sorted(map("/".join, listed().order_by("-published").values_list(*NAMES)[:MOST_KNOWN])),
        },
    )


COMPARED: list[tuple[str, Callable[[Revision], object]]] = [
    ("trained at", lambda r: r.summary["site"]),
    ("training films", lambda r: r.summary["films"]),
    ("patients", lambda r: r.summary["patients"]),
    ("family", lambda r: r.family),
    ("resolution", lambda r: f"{r.resolution} x {r.resolution}"),
    ("findings", lambda r: ", ".join(r.findings)),
    ("license", lambda r: r.license),
    ("gate of this hub", lambda r: f"published against it by {r.overridden_by}" if r.overridden_by else "passed"),
    ("privacy, by the site's audit", lambda r: f"{r.summary['privacy']}; {r.detection_limit}"),
    ("quality, by the site's audit", lambda r: r.summary["quality"]),
    *((words, lambda r, name=name, form=form: measured(r, name, form)[0]) for words, name, form in MEASURES),
    ("features", lambda r: r.summary["extractor"]),
    ("fetched", lambda r: r.downloads),
]


def measured(revision: Revision, name: str, form: str) -> tuple[str, str]:
    """A measure of the images, with its 95% interval if there is one, and the same of real training films."""
    value, real = revision.summary.get(name), revision.summary.get("real_films", {}).get(name)
    of_images = Estimate(**value).text(form) if isinstance(value, dict) else _decimal(value, form)
    return of_images, _decimal(real, form)


def _newest(organisation: str, name: str) -> Revision | None:
    """The newest revision; None if the generator is not there or was withdrawn."""
    return listed().filter(generator__organisation__name=organisation, generator__name=name).first()


def _asked(request: HttpRequest, revision: Revision) -> tuple[dict[str, float], int]:
    """The labels above 0, each in (0, 1] on one of the slider's steps, and the seed."""
    steps = {finding: _steps(request.GET.get(f"finding-{n}")) for n, finding in enumerate(revision.findings)}
    labels = {finding: step / drawing.STEPS for finding, step in steps.items() if step}
    return labels, _number(request.GET.get("seed"), most=drawing.SEEDS - 1)


def _number(text: str | None, *, most: int) -> int:
    return min(most, int(text[:9])) if text and text.isascii() and text.isdecimal() else 0


def _steps(text: str | None) -> int:
    """A label from 0 to 1 as one of the slider's steps."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0
    return round(min(1.0, max(0.0, value)) * drawing.STEPS)


def _decimal(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


@lru_cache(maxsize=1)
def choices(newest: object) -> dict[str, list[str]]:
    """What the filters offer: of each field, and of the findings, the values that listed generators have.

    Args:
        newest: publication or withdrawal in the log; what was found is kept until there is a newer one.
    """
    rows = listed().order_by()
    known = {name: sorted(rows.values_list(name, flat=True).distinct()) for name in FILTERS}
    findings = {finding for some in rows.values_list("findings", flat=True).distinct() for finding in some}
    return {**{name: list(map(str, values)) for name, values in known.items()}, "findings": sorted(findings)}
