"""What the operator changes in Django's own pages: organisations, members, keys, tokens. The rest is read only."""

from django.contrib import admin
from django.http import HttpRequest

from radcommons.hub.models import Membership, Organisation, SigningKey, Token


class Members(admin.TabularInline):
    """Members of an organisation."""

    model = Membership
    extra = 1


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin):
    """Organisations with their members."""

    list_display = ("name", "title", "contact")
    search_fields = ("name", "title")
    inlines = (Members,)


@admin.register(SigningKey)
class SigningKeyAdmin(admin.ModelAdmin):
    """Keys: withdrawn by a date, never deleted."""

    list_display = ("organisation", "fingerprint", "added", "withdrawn")
    readonly_fields = ("fingerprint", "pem", "organisation")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Keys are registered on the command line, which checks them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never: published revisions name them."""
        return False


@admin.register(Token)
class TokenAdmin(admin.ModelAdmin):
    """Tokens: revoked by a date."""

    list_display = ("name", "organisation", "user", "scope", "expires", "revoked", "last_used")
    readonly_fields = ("organisation", "user", "digest", "scope", "last_used")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A token is made by its owner."""
        return False
