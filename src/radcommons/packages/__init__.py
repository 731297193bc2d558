"""Generator packages: what leaves the hospital, and how anybody checks one."""
