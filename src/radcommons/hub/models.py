"""What the hub keeps: who may deposit, what was deposited, what the gate said, and who did what."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from radcommons.web.log import Entry

PAGES = "admin", "api", "compare", "deposits", "healthz", "hub", "login", "logout", "metrics", "operator", "static"
RESERVED = frozenset((*PAGES, "second-factor", "tokens", "welcome"))  # no organisation has such a name
TOKEN_MARK = "rc_"  # so that scanners of source code recognise one
USE_NOTED_EVERY = timedelta(minutes=1)  # of a token
FINGERPRINT = 64  # hexadecimal digits of SHA-256
slug = RegexValidator(r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z", "lower-case letters, digits, . _ and - only")


class Organisation(models.Model):
    """A hospital or a group of them; only its members deposit in its name."""

    name = models.CharField(max_length=64, unique=True, validators=[slug])
    title = models.CharField(max_length=200, blank=True)
    contact = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="organisations")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user of an organisation."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "user"], name="one_membership")]


class SigningKey(models.Model):
    """A public key whose signatures count for an organisation, until it is withdrawn."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="keys")
    fingerprint = models.CharField(max_length=FINGERPRINT, unique=True)
    pem = models.TextField()
    added = models.DateTimeField(auto_now_add=True)
    withdrawn = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.organisation} {self.fingerprint[:16]}"


class Token(models.Model):
    """What a program shows in place of a password: for one organisation, for some actions, until a day.

    Only its digest is kept; the token itself is shown once.
    """

    class Scope(models.TextChoices):
        """What a token may do."""

        DEPOSIT = "deposit", "deposit and ask for its own deposits"
        WITHDRAW = "withdraw", "deposit, and withdraw generators"

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="tokens")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=FINGERPRINT, unique=True)
    scope = models.CharField(max_length=16, choices=Scope.choices, default=Scope.DEPOSIT)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    revoked = models.DateTimeField(null=True, blank=True)
    last_used = models.DateTimeField(null=True, blank=True)

    @classmethod
    def make(cls, *, days: int, **fields: Any) -> tuple[Self, str]:
        """A new token, and its text, which nobody can show again."""
        text = TOKEN_MARK + secrets.token_urlsafe(32)
        expires = timezone.now() + timedelta(days=days)
        return cls.objects.create(digest=cls.digest_of(text), expires=expires, **fields), text

    @staticmethod
    def digest_of(text: str) -> str:
        """SHA-256 of a token; it has 256 random bits, so that no slow hash is needed."""
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def valid(cls, text: str) -> Self | None:
        """The token of a text, if it may be used now."""
        token = cls.objects.select_related("organisation", "user").filter(digest=cls.digest_of(text)).first()
        now = timezone.now()
        if token is None or token.revoked or token.expires <= now or not token.user.is_active:
            return None
        if not Membership.objects.filter(organisation=token.organisation, user=token.user).exists():
            return None
        if token.last_used is None or token.last_used < now - USE_NOTED_EVERY:
            cls.objects.filter(pk=token.pk).update(last_used=now)
        return token


class Generator(models.Model):
    """A name under which an organisation publishes revisions."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="generators")
    name = models.CharField(max_length=64, validators=[slug])
    created = models.DateTimeField(auto_now_add=True)
    withdrawn = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.CharField(max_length=150, blank=True)
    withdrawn_because = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="one_name")]

    @property
    def reference(self) -> str:
        """ORG/NAME."""
        return f"{self.organisation.name}/{self.name}"

    def __str__(self) -> str:
        return self.reference


class Revision(models.Model):
    """One deposit of a generator that the gate let through, or the operator; it never changes.

    `summary` holds what lists and filters need, worked out once when it is published.
    """

    generator = models.ForeignKey(Generator, on_delete=models.PROTECT, related_name="revisions")
    sha = models.CharField(max_length=40, db_index=True)
    published = models.DateTimeField(auto_now_add=True)
    weights_sha256 = models.CharField(max_length=FINGERPRINT, db_index=True)
    key_fingerprint = models.CharField(max_length=FINGERPRINT)
    family = models.CharField(max_length=32, db_index=True)
    resolution = models.IntegerField(db_index=True)
    license = models.CharField(max_length=64, db_index=True)
    overridden_by = models.CharField(max_length=150, blank=True)
    overridden_because = models.TextField(blank=True)
    downloads = models.IntegerField(default=0)
    latest = models.BooleanField(default=True)
    fid = models.FloatField(null=True)
    recall = models.FloatField(null=True)
    coverage = models.FloatField(null=True)
    findings = models.JSONField()  # the long ones come last: SQLite reads a row from its beginning
    summary = models.JSONField()
    verdict = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["generator", "sha"], name="one_revision"),
            models.UniqueConstraint(fields=["generator"], condition=models.Q(latest=True), name="one_latest"),
        ]
        indexes = [
            models.Index(fields=[f"{sign}{field}", "-id"], condition=models.Q(latest=True), name=f"listed_by_{field}")
            for sign, field in (("-", "published"), ("", "fid"), ("-", "coverage"), ("-", "recall"), ("-", "downloads"))
        ]

    @property
    def detection_limit(self) -> str:
        """Which leak the site's audit as a whole would have found, in words."""
        limit = self.summary.get("detection_limit")
        if limit is None:
            return "not even images that are all copies would have been found"
        return f"copies that make up {limit:.1%} of the images, or more, would have been found"


class RevisionTag(models.Model):
    """A word by which a revision is found: a finding, its family, its license, its resolution."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="tags")
    tag = models.CharField(max_length=100, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["revision", "tag"], name="one_tag")]


class RevisionFile(models.Model):
    """A file of a revision; its content lies under its digest, once for all revisions."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=FINGERPRINT, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["revision", "path"], name="one_path")]


class Deposit(models.Model):
    """A package on its way in: uploaded file by file, submitted, examined, then published or refused."""

    class State(models.TextChoices):
        """Where a deposit is."""

        UPLOADING = "uploading", "being uploaded"
        SUBMITTED = "submitted", "waiting for the gate"
        EXAMINING = "examining", "being examined"
        PUBLISHED = "published", "published"
        REFUSED = "refused", "refused"
        ABANDONED = "abandoned", "given up"

    id = models.CharField(primary_key=True, max_length=32)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="deposits")
    name = models.CharField(max_length=64, validators=[slug])
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    state = models.CharField(max_length=16, choices=State.choices, default=State.UPLOADING, db_index=True)
    files = models.JSONField(default=dict)  # path -> [size, sha256], as announced
    created = models.DateTimeField(auto_now_add=True)
    changed = models.DateTimeField(auto_now=True)
    examined_since = models.DateTimeField(null=True, blank=True)
    attempts = models.IntegerField(default=0)
    verdict = models.JSONField(null=True, blank=True)
    revision = models.ForeignKey(Revision, null=True, blank=True, on_delete=models.PROTECT, related_name="deposits")

    def __str__(self) -> str:
        return f"{self.organisation}/{self.name} {self.id[:8]}"


class Reference(models.Model):
    """Reference statistics that the operator registered: the gate compares deposits with them."""

    name = models.CharField(max_length=64, unique=True, validators=[slug])
    extractor = models.CharField(max_length=64)
    extractor_sha256 = models.CharField(max_length=FINGERPRINT)
    resolution = models.IntegerField()
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=FINGERPRINT)
    added = models.DateTimeField(auto_now_add=True)


class LogEntry(Entry):
    """Who did what, when; entries are added and never changed: the database itself refuses it (migration 0002)."""

    @classmethod
    def newest(cls, *what: str) -> tuple[int, datetime] | None:
        """Number and time of the newest entry of some kinds: while it is the same, nothing of the kinds was done."""
        return cls.objects.filter(what__in=what).order_by("-id").values_list("id", "at").first()
