"""Simulated chest films with a known truth: draw exams, render them and the masks of their findings."""

from radcommons.data.phantom.exams import FINDINGS, Exam, Site, draw_exams, healthy, render, site

__all__ = ["FINDINGS", "Exam", "Site", "draw_exams", "healthy", "render", "site"]
