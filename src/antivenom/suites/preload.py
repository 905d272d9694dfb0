"""Imports what cells need, once, in the process that they are forked from."""

import gc

import peft  # noqa: F401
import torch  # noqa: F401
from transformers import Trainer  # noqa: F401

import antivenom.suites.run_cell
import antivenom.testing
import antivenom.training.trainer  # noqa: F401

# A collection in a cell does not look through these modules again, and leaves their memory shared.
gc.freeze()
