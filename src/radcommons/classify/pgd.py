"""STUB until merge."""

from radcommons.settings import Settings


class AttackSettings(Settings):
    """s"""

    epsilon: float = 1


def attack(*a, **k):
    raise NotImplementedError
