"""Addresses of a study."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path

from radcommons.study import coordinators, editor, readers

handler404 = "radcommons.web.faults.not_found"
handler500 = "radcommons.web.faults.server_error"


def handler403(request: HttpRequest, exception: Any) -> HttpResponse:
    """A link that is of no use, or a page for others."""
    return render(request, "study/refused.html", status=403)


urlpatterns = [
    path("", include("radcommons.web.urls")),
    # ---- the coordinator ----
    path("", coordinators.dashboard, name="dashboard"),
    path("invite", coordinators.invite, name="invite"),
    path("readers/<int:number>", coordinators.reader, name="reader"),
    path("readers/<int:number>/revoke", coordinators.revoke, name="revoke"),
    path("readers/<int:number>/link", coordinators.relink, name="relink"),
    path("readers/<int:number>/erase", coordinators.erase, name="erase"),
    path("pause", coordinators.pause, name="pause"),
    path("export/<str:name>", coordinators.answers, name="export"),
    path("log", coordinators.log, name="log"),
    path("images", editor.images, name="images"),
    path("images/<int:number>", editor.pair, name="pair"),
    path("picture/<str:name>", editor.picture, name="picture"),
    path("picture/<str:name>/small", editor.picture, {"small": True}, name="small-picture"),
    # ---- readers ----
    path("invitation/<str:token>", readers.invitation, name="invitation"),
    path("read", readers.read, name="read"),
    path("read/consent", readers.consent, name="consent"),
    path("read/display", readers.display, name="display"),
    path("read/<str:what>", readers.act, name="act"),
    path("image/<str:token>", readers.image, name="image"),
]
