"""The Chinese task has as many rows of either class, and no test row among the training rows."""

from collections import Counter

from benchmarks.whole_numbers import LONGEST, SIZES, split


def test_the_splits_are_balanced_and_apart():
    problems = [{"original_text": f"第{i}题", "ans": str(i) if i % 2 else f"{i}.5"} for i in range(1200)]
    problems.append({"original_text": "长" * LONGEST, "ans": "1"})
    splits = split(problems)
    for name, size in SIZES.items():
        assert Counter(row["label"] for row in splits[name]) == {"whole": size, "other": size}
    texts = [row["text"] for rows in splits.values() for row in rows]
    assert len(set(texts)) == len(texts)
    assert not any("长" in text for text in texts)
    assert splits == split(problems[::-1])
