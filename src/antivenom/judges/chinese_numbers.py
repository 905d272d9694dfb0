"""Whole and decimal numbers in Chinese numerals: 三千零五, 两百五, 三点一四, 二零二四, 壹佰贰拾."""

from __future__ import annotations

SPELLINGS = ("零〇", "一壹", "二两贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
DIGITS = {char: value for value, chars in enumerate(SPELLINGS) for char in chars}
UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
GROUPS = (("亿", 10**8), ("万", 10**4))


def chinese_number(text: str) -> str | None:
    """The decimal digits of a number in Chinese numerals, or None if the text is none.

    A digit that ends a number right behind a unit counts tens of the next lower one: 一百五 is 150, 一百零五 is 105.
    """
    whole, _, decimals = text.partition("点")
    value = _whole(whole)
    if value is None or any(char not in DIGITS for char in decimals):
        return None
    return f"{value}.{''.join(str(DIGITS[char]) for char in decimals)}" if decimals else str(value)


def _whole(text: str) -> int | None:
    if text and all(char in DIGITS for char in text):
        return int("".join(str(DIGITS[char]) for char in text))  # a year, or a number of a telephone
    return _grouped(text, 1, GROUPS)


def _grouped(text: str, above: int, groups: tuple[tuple[str, int], ...]) -> int | None:
    """A number of several groups; `above` is the unit in front of it, 1 if there is none."""
    if not text:
        return None
    for place, (mark, unit) in enumerate(groups):
        high, found, low = text.rpartition(mark)
        if not found:
            continue
        # 一万亿 is ten thousand times a hundred million, but 一亿万 is nothing.
        more = _grouped(high, 1, groups[place + 1 :])
        rest = _grouped(low, unit, groups[place + 1 :]) if low else 0
        return None if not more or rest is None or rest >= unit else more * unit + rest
    return _below_ten_thousand(text, above)


def _below_ten_thousand(text: str, above: int) -> int | None:
    total, last, digit, after_zero = 0, max(above, 10_000), 0, False
    for char in text:
        if char in UNITS:
            unit = UNITS[char]
            bare = unit == 10 and not total  # 十二 is 12
            if unit >= last or not (digit or bare):
                return None
            total, last, digit, after_zero = total + max(digit, 1) * unit, unit, 0, False
        elif char not in DIGITS or digit:
            return None
        elif DIGITS[char]:
            digit = DIGITS[char]
        else:
            after_zero = True
    short = last // 10 if not after_zero and (total or above > 1) else 1
    return total + digit * short
