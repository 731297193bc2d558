"""Addresses that every site has."""

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.urls import path

from radcommons.web.requests import healthz, metrics
from radcommons.web.second_factor import LoginForm, page

NAMED = {"site_name": settings.SITE_NAME}  # Django's own view would say the host

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path(
        "login",
        LoginView.as_view(template_name="web/login.html", authentication_form=LoginForm, extra_context=NAMED),
        name="login",
    ),
    path("second-factor", page, name="second-factor"),
    path("logout", LogoutView.as_view(), name="logout"),
    path(
        "welcome/<uidb64>/<token>",
        PasswordResetConfirmView.as_view(
            template_name="web/welcome.html", success_url="/login", post_reset_login=False
        ),
        name="welcome",
    ),
]
