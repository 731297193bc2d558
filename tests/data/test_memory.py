"""What a process frees it keeps, so that the next film does not start with fresh pages."""

import subprocess
import sys

import pytest

FAULTS_OF_BUFFERS = """
import resource
from radcommons.data.memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
bytearray(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    one, other = bytearray(10_000_000), bytearray(10_000_000)
    del one, other
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*, kept: bool) -> int:
    code = FAULTS_OF_BUFFERS.format(kept=kept)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc has the setting")
def test_kept_memory_is_used_again_without_fresh_pages() -> None:
    assert page_faults(kept=True) < page_faults(kept=False) / 4
