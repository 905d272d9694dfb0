"""Stand-ins for testing attacks, defenses and everything behind them without a download.

`LinearStandIn` learns a backdoor, and what P2P does against it, in a fraction of a second. `tiny_model` is a real (if
random) transformers model for `fit`. Both are shipped, so that a third party tests a method the way this project does:

    rows, test = synthetic_rows(800), synthetic_rows(400, seed=1)
    task = Classification.for_labels(("negative", "positive"))
    poisoned = BadNets(rate=0.05).poison(task, rows, seed=0).rows
    model = LinearStandIn.of(NoDefense().prepare(task, poisoned, trusted=None, lab=StandInLab()))
    evaluate(model, test, [BadNets()], quiet=True)
"""

from __future__ import annotations

from antivenom.testing.stand_in import LinearStandIn, StandInLab
from antivenom.testing.synthetic import synthetic_images, synthetic_rows
from antivenom.testing.tiny_models import tiny_model, tiny_tokenizer, tiny_vision_model

__all__ = [
    "LinearStandIn",
    "StandInLab",
    "synthetic_images",
    "synthetic_rows",
    "tiny_model",
    "tiny_tokenizer",
    "tiny_vision_model",
]
