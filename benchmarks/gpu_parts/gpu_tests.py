"""The tests marked `gpu`: one row a test, as each ends. The toy form runs a file of them on the CPU."""

from pathlib import Path

import pytest

from gpu_parts.results import Results, arguments

ROOT = Path(__file__).parents[2]
FOLDERS = ("models", "extractors", "runs", "gan")
TOY = ("gan/recipes/rgan/test_losses.py", "gan/recipes/progan/test_losses.py")


class Recorder:
    """Writes down how each test ended."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.bad = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        self.bad += report.failed
        row: dict[str, object] = {"test": report.nodeid, "outcome": report.outcome, "seconds": report.duration}
        if not report.passed:
            row["message"] = report.longreprtext[-1500:] or str(report.longrepr)
        self.results.add(row)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.bad += 1
            self.results.add(
                {"test": report.nodeid, "outcome": "not collected", "message": report.longreprtext[-1500:]}
            )


def main() -> None:
    options = arguments(__doc__)
    results = Results(options.out / "tests.json", options.seconds)
    recorder = Recorder(results)
    which = ["-k", "mixed_precision and cpu"] if options.toy else ["-m", "gpu"]
    files = [str(ROOT / "tests" / name) for name in (TOY if options.toy else FOLDERS)]
    settings = ["-p", "no:cacheprovider", "-W", "default", "--continue-on-collection-errors", f"--rootdir={ROOT}"]
    status = pytest.main([*files, *which, *settings, "-q"], plugins=[recorder])
    outcomes = [row["outcome"] for row in results.found["rows"]]
    results.note(**{name: outcomes.count(name) for name in ("passed", "failed", "skipped")})
    if status or not outcomes.count("passed"):
        raise SystemExit(f"{recorder.bad} tests failed, {outcomes.count('passed')} passed (pytest ended with {status})")


if __name__ == "__main__":
    main()
