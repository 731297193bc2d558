"""Simulated chest films with a known truth: draw exams, render them and the masks of their findings."""

from radcommons.data.phantom.exams import RESOLUTIONS, Exam, draw_exams, render
from radcommons.data.phantom.findings import FINDINGS
from radcommons.data.phantom.sites import Site, site

__all__ = ["FINDINGS", "RESOLUTIONS", "Exam", "Site", "draw_exams", "render", "site"]
