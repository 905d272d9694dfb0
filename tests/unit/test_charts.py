"""The pictures are well-formed and to scale."""

from xml.etree import ElementTree

import pytest
from research.charts import Bar, Point, bars, curve

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_to_scale_and_what_was_not_run_says_so():
    drawn = ElementTree.fromstring(bars([Bar("a < b", 1.0, 0.25, 0.1), Bar("later", 0.5, None, None)]))
    widths = [float(r.get("width")) for r in drawn.iter(f"{SVG}rect") if r.get("height") == "11" and r.get("y") != "24"]
    assert [width / widths[0] for width in widths] == pytest.approx([1, 0.25, 0.5], abs=1e-3)
    words = [text.text for text in drawn.iter(f"{SVG}text")]
    assert {"a < b", "later", "not run"} <= set(words)


def test_a_curve_rises_with_what_it_shows():
    points = [Point(0, 0.1, 0.05, 0.2, 0.1), Point(4, 0.9, 0.8, 0.95, 0.1)]
    drawn = ElementTree.fromstring(curve(points, below="rows"))
    first, last = drawn.iter(f"{SVG}circle")
    assert float(first.get("cy")) > float(last.get("cy")), "up is less in SVG"
    assert float(first.get("cx")) < float(last.get("cx"))
