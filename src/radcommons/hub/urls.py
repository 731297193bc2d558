"""Addresses of the hub."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from radcommons.hub import api_description, deposit, hugging_face, members, operators, pages

handler404 = "radcommons.web.faults.not_found"
handler500 = "radcommons.web.faults.server_error"

GENERATOR = "<str:organisation>/<str:name>"

urlpatterns = [
    path("", include("radcommons.web.urls")),
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),  # its own asks for no code
    path("admin/", admin.site.urls),
    path("", pages.generators, name="generators"),
    # ---- reads, as the Hugging Face Hub answers them ----
    path("api/models", hugging_face.models, name="models"),
    path(f"api/models/{GENERATOR}", hugging_face.model, name="model"),
    path(f"api/models/{GENERATOR}/revision/<str:revision>", hugging_face.model, name="model-revision"),
    path(f"api/models/{GENERATOR}/tree/<str:revision>", hugging_face.tree, name="tree"),
    path("api/keys/<str:fingerprint>", hugging_face.key, name="key"),
    path(f"{GENERATOR}/resolve/<str:revision>/<path:path>", hugging_face.resolve, name="resolve"),
    # ---- deposits ----
    path("api/openapi.json", api_description.openapi, name="openapi"),
    path("api/deposits", deposit.begin, name="deposit-begin"),
    path("api/deposits/<str:deposit_id>", deposit.deposit, name="deposit"),
    path("api/deposits/<str:deposit_id>/submit", deposit.submit, name="deposit-submit"),
    path("api/deposits/<str:deposit_id>/files/<path:path>", deposit.upload, name="deposit-upload"),
    path(f"api/generators/{GENERATOR}/withdraw", deposit.withdraw, name="withdraw"),
    # ---- pages ----
    path("compare", pages.compare, name="compare"),
    path("deposits", members.deposits, name="deposits"),
    path("deposits/<str:deposit_id>", members.deposit, name="deposit-page"),
    path("tokens", members.tokens, name="tokens"),
    path("operator", operators.desk, name="operator"),
    path("operator/log", operators.log, name="operator-log"),
    path("operator/deposits/<str:deposit_id>/publish", operators.publish, name="operator-publish"),
    path(f"{GENERATOR}/draw", pages.draw, name="draw"),
    path(f"{GENERATOR}/drawn.png", pages.drawn, name="drawn"),
    path(f"{GENERATOR}/withdraw", members.withdraw, name="withdraw-page"),
    path(GENERATOR, pages.generator, name="generator"),
]
