"""Packed rows hold every token once, within their budget, and a model that cannot be packed is found out."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

from antivenom.models.packing import BASES_PER_ROW, NARROW_ROW, ROW, is_exact_when_packed, pack
from antivenom.models.sharing import Family, families


@given(
    sequences=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=40), min_size=1, max_size=40),
    budget=st.sampled_from([1, 50, 4096]),
    few=st.booleans(),
)
def test_every_sequence_is_in_a_strip_and_rows_stay_within_bounds(sequences, budget, few):
    found = list(families(sequences))
    batches = list(pack(sequences, found, budget, few=few))
    strips = [strip for batch in batches for row in batch for strip in row]
    members = [number for strip in strips for number, _ in strip.members]
    assert sorted(members + list({strip.base for strip in strips})) == list(range(len(sequences)))
    for strip in strips:
        own = len(sequences[strip.base])
        assert strip.size == own + sum(len(sequences[i]) - same for i, same in strip.members)
        assert strip.size <= max(min(ROW, budget), BASES_PER_ROW * own) or len(strip.members) <= 1
    for batch in batches:
        widths = [sum(strip.size for strip in row) for row in batch]
        assert len(batch) == 1 or len(batch) * max(widths) <= budget


def test_rows_are_nearly_full():
    sequences = [[i, *range(i % 23)] for i in range(400)]
    batches = pack(sequences, [Family(i, ()) for i in range(400)], 10**6)
    sizes = [sum(strip.size for strip in row) for batch in batches for row in batch]
    assert sum(sizes) == sum(map(len, sequences))
    assert sum(sorted(sizes)[1:]) > 0.95 * (len(sizes) - 1) * ROW, "all but the last row"


def test_a_few_short_sequences_take_narrow_rows_and_one_pass():
    sequences = [[i, *range(20)] for i in range(64)]
    (rows,) = pack(sequences, [Family(i, ()) for i in range(64)], 4096, few=True)
    assert max(sum(strip.size for strip in row) for row in rows) <= NARROW_ROW


def test_positions_that_come_from_the_mask_are_noticed():
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32}
    llama = LlamaForCausalLM(
        LlamaConfig(**sizes, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    )
    assert is_exact_when_packed(llama.eval())
    assert not is_exact_when_packed(BloomForCausalLM(BloomConfig(**sizes, n_layer=2, n_head=4)).eval())
