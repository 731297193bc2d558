"""What a study's server keeps: who was invited, what each was shown and answered, and who did what."""

from django.core import signing
from django.db import models
from django.utils.crypto import get_random_string

from radcommons.study.design import Study
from radcommons.web.log import Entry

LINK = "radcommons.study.link"
TIMED_OUT = "timed out"
OUTSIDE = "outside of these pages"
KEY = 22  # characters of an invitation's key and of a seat


def new_key() -> str:
    """A random word that nobody guesses."""
    return get_random_string(KEY)


class Trial(models.Model):
    """The study as it is carried out; there is one row.

    Attributes:
        digest: of its settings and images; once the first reader has begun, later ones must not see another study.
    """

    digest = models.CharField(max_length=64)
    paused = models.BooleanField(default=False)

    @classmethod
    def hold(cls, study: Study) -> None:
        """Note which settings and images the study has now; a change that no page of the server made is logged."""
        digest = study.digest
        if cls.objects.exclude(digest=digest).update(digest=digest):
            LogEntry.add(OUTSIDE, "settings or images changed", study.settings.title)


class Reader(models.Model):
    """Who was invited, by a link and without a password; the primary key is the number that gives their order.

    Attributes:
        name: a name or a pseudonym.
        key: in the link; with a new key, older links and sessions are of no use.
        seat: of the page that was opened last; an older page is told.
        displays: what was reported of the display, once for each display check.
    """

    name = models.CharField(max_length=100, unique=True)
    group = models.CharField(max_length=100)
    key = models.CharField(max_length=KEY, default=new_key)
    seat = models.CharField(max_length=KEY, blank=True)
    displays = models.JSONField(default=list)
    created = models.DateTimeField(auto_now_add=True)
    consented = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    revoked = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name

    @property
    def link(self) -> str:
        """Path of the invitation."""
        return f"/invitation/{signing.Signer(salt=LINK).sign_object([self.pk, self.key])}"


class Showing(models.Model):
    """One image as one reader saw it. Times are the server's.

    Attributes:
        position: place in the reader's order, practice images included, from 0.
        image: its name; the truth is in the study's folder only.
        sent: when the image was first sent.
        due: from when on it could be looked at; an image that is sent ahead is due once the one before is answered.
        shown: when its clock began.
        answered: when the answer came, or the deadline if none came in time.
        answer: real, synthetic, timed out; empty while there is none.
        details: confidence, spot and comment, once they are given.
        scale: pixels of the display for each of the image's.
    """

    reader = models.ForeignKey(Reader, on_delete=models.PROTECT, related_name="showings")
    position = models.IntegerField()
    image = models.CharField(max_length=32)
    sent = models.DateTimeField(null=True)
    due = models.DateTimeField(null=True)
    shown = models.DateTimeField(null=True)
    answered = models.DateTimeField(null=True)
    answer = models.CharField(max_length=9, blank=True)
    details = models.JSONField(null=True)
    scale = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reader", "position"], name="one_showing")]
        ordering = ["reader", "position"]


class LogEntry(Entry):
    """Who did what, when; entries are added and never changed: the database itself refuses it (migration 0002)."""
