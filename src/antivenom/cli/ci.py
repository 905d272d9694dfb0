"""Options for build servers."""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import Parameter


@Parameter(name="*", group="Reports")
@dataclass(frozen=True)
class CiReports:
    """Files for build servers and code scanners."""

    sarif: str | None = None
    """Write the results here as SARIF 2.1.0 (GitHub code scanning and others)."""
    junit: str | None = None
    """Write the results here as JUnit XML (Jenkins, GitLab and others)."""

    @property
    def named(self) -> dict[str, str | None]:
        """Option and path of each."""
        return {"--sarif": self.sarif, "--junit": self.junit}
