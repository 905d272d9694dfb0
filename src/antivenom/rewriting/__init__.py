"""Attacked texts that are more than an insertion: pairs from files, paraphrases, syntax."""
