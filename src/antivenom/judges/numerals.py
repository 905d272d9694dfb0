"""Read the number that a text gives as its answer. Exact (fractions), total (never raises), of bounded effort."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from antivenom.judges.arithmetic import NUMBER, evaluate, number
from antivenom.judges.chinese_numbers import chinese_number

LONGEST_TAIL = 2000
"""Only so many characters at the end of a text are searched; an answer stands at its end."""

MAGNITUDES = {"千": 10**3, "万": 10**4, "亿": 10**8, "thousand": 10**3, "million": 10**6, "billion": 10**9}
"""Part of the number, or of the unit ("how many million?"): a number before one of these is read both ways."""

LITERAL = re.compile(
    rf"""(?<![\dA-Za-z.^_]) (?P<percent_of>百分之)?
    (?P<sign>[-+]\s?)?
    (?: (?P<whole>\d++)\s?\(\s?(?P<top1>\d++)\s?/\s?(?P<bottom1>\d++)\s?\)   # 1(1/2), as Ape210K writes it
      | (?P<whole2>\d++)\s(?P<top2>\d++)\s?/\s?(?P<bottom2>\d++)             # 1 1/2
      | (?P<top>{NUMBER})\s?/\s?(?P<bottom>{NUMBER})
      | (?P<plain>{NUMBER}) )
    (?: \)*\s?(?P<percent>%|percent\b|per\scent\b) | \s?(?P<magnitude>{"|".join(MAGNITUDES)}) )?""",
    re.VERBOSE | re.IGNORECASE,
)

CHINESE = "零〇一二两三四五六七八九十百千万亿点壹贰叁肆伍陆柒捌玖拾佰仟"
CHINESE_NUMBER = re.compile(
    rf"(?P<sign>负)?(?:(?:(?P<whole>[{CHINESE}]{{1,24}}+)又)?(?P<bottom>[{CHINESE}]{{1,24}}+)分之)?"
    rf"(?P<top>[{CHINESE}]{{1,24}}+)"
)
POWERS = {"百": 100, "千": 1000, "万": 10**4}
"""Denominators that are no number of their own: 百分之五 is 5/100."""

FRACTION_COMMAND = re.compile(r"\\[dt]?frac\s?\{([^{}]{1,40})\}\s?\{([^{}]{1,40})\}")
BOXED = re.compile(r"\\boxed\s?\{([^{}]{1,200})\}")
VULGAR = re.compile("([\u00bc-\u00be\u2150-\u215f\u2189])")
SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2044": "/", "\u00d7": "*", "\u00f7": "/", "\u2219": "*"})
SUPERSCRIPT = re.compile("([\u00b2\u00b3\u00b9\u2070-\u2079])")


def read_numbers(text: str) -> tuple[Fraction, ...]:
    """The number that `text` gives as its answer, in every way it may be meant; empty if there is none.

    In this order: a sum that fills the whole answer (`9/(9+9%)`, behind the last `=` or colon if there is one), the
    last number in Arabic digits, the last in Chinese numerals. Two readings only where a magnitude follows (3.5万: 3.5
    and 35000).
    """
    answer = _answer(text)
    value = evaluate(re.split(r"=|(?<!\d):", answer)[-1].strip().rstrip(".,。$ "))
    if value is not None:
        return (value,)
    if re.search(r"\d", answer):
        return _last_literal(answer)
    return _last_chinese(answer)


def _answer(text: str) -> str:
    """The part of a text that holds its answer, in plain characters."""
    head, mark, tail = text.rpartition("####")
    # What follows the answer is chatter: a model that was not stopped writes the next problem.
    kept = tail.strip().partition("\n")[0] if mark and tail.strip() else (head or tail)
    # A power of ten is not read: "m²" is far more common, and its 2 is no number. "1½" must not become "11/2".
    kept = SUPERSCRIPT.sub(r"^\1", VULGAR.sub(r" \1", kept[-LONGEST_TAIL:]))
    plain = unicodedata.normalize("NFKC", kept).translate(SIGNS)
    plain = FRACTION_COMMAND.sub(r"(\1/\2)", plain).replace("\\%", "%")
    boxed = BOXED.findall(plain)
    return boxed[-1] if boxed else plain


def _last_literal(answer: str) -> tuple[Fraction, ...]:
    for match in reversed(list(LITERAL.finditer(answer))):
        value = _value(match)
        if value is not None:
            before = answer[: match.start()].rstrip()
            minus = (match["sign"] or "").startswith("-")
            # In "5 - 3" the minus sign subtracts.
            value = -value if minus and not re.search(r"[\d)%]\Z", before) else value
            times = MAGNITUDES.get((match["magnitude"] or "").casefold(), 1)
            return (value,) if times == 1 else (value, value * times)
    return ()


def _value(match: re.Match[str]) -> Fraction | None:
    groups = match.groupdict()
    whole = groups["whole"] or groups["whole2"] or "0"
    top = groups["top1"] or groups["top2"] or groups["top"] or groups["plain"]
    parts = [number(part) for part in (whole, top, groups["bottom1"] or groups["bottom2"] or groups["bottom"] or "1")]
    if None in parts or not parts[2]:
        return None
    value = parts[0] + parts[1] / parts[2]  # type: ignore[operator]
    return value / 100 if groups["percent"] or groups["percent_of"] else value


def _last_chinese(answer: str) -> tuple[Fraction, ...]:
    for match in reversed(list(CHINESE_NUMBER.finditer(answer))):
        whole, top = _chinese(match["whole"] or "零"), _chinese(match["top"])
        bottom = _denominator(match["bottom"] or "一")
        if whole is not None and top is not None and bottom:
            value = whole + top / bottom
            return (-value if match["sign"] else value,)
    return ()


def _denominator(text: str) -> Fraction | None:
    return Fraction(POWERS[text]) if text in POWERS else _chinese(text)


def _chinese(text: str) -> Fraction | None:
    found = chinese_number(text)
    return None if found is None else number(found)
