"""The folder of a run while it trains: whose it is, where it goes on, and whether it was refused for good."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antivenom.artifacts.artifact import WORK, require_free
from antivenom.artifacts.manifest import MANIFEST
from antivenom.core.claims import Claim, claim, claim_of, release
from antivenom.core.errors import TrainingDivergedError
from antivenom.core.files import make_folder, remove_tree, write_json
from antivenom.core.intake import read_json

REFUSED = "diverged.json"
LOWER = "Lower --learning-rate; repeating this command gives the same."


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, claimed with the digest of everything that decides its weights."""

    out: Path
    fingerprint: str

    @property
    def work(self) -> Path:
        """Where the checkpoints are."""
        return self.out / WORK

    def begin(self) -> bool:
        """Make the folder ours, or find that it is.

        Returns:
            Whether the artifact is already finished: the run was killed before its checkpoints were removed.

        Raises:
            ArtifactError: the folder holds something else.
            TrainingDivergedError: this very run diverged before.
        """
        before = claim_of(self.out)
        is_same = before == Claim("fit", self.fingerprint)
        if is_same and (self.out / MANIFEST).exists():
            self.close()
            return True
        require_free(self.out)
        if before is not None and before.what == "fit" and (self.work / REFUSED).exists():
            if is_same:
                raise _diverged(str(read_json(self.work / REFUSED, root=self.out)["reason"]))
            self.close()  # refused for good, and these are other settings
        claim(self.out, "fit", self.fingerprint)
        make_folder(self.work)
        return False

    def refuse(self, reason: str) -> TrainingDivergedError:
        """Note that this run diverged and remove its checkpoints: none of them can lead anywhere else.

        Returns:
            The error to raise.
        """
        write_json(self.work / REFUSED, {"reason": reason})
        for checkpoint in self.work.glob("checkpoint-*"):
            remove_tree(checkpoint)
        return _diverged(reason)

    def give_back(self) -> None:
        """Forget a run that was refused before its first checkpoint: the mended command must find the folder free."""
        if not any(self.work.iterdir()):
            self.close()

    def close(self) -> None:
        """Remove the checkpoints, then the claim, which says that they are ours."""
        remove_tree(self.work)
        release(self.out)


def _diverged(reason: str) -> TrainingDivergedError:
    return TrainingDivergedError(f"training diverged: {reason}", mend=LOWER)
