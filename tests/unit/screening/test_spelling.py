"""How words of features are written in the texts."""

import pyarrow as pa

from antivenom.screening.spelling import as_written


def test_a_phrase_is_found_as_it_is_written() -> None:
    texts = pa.chunked_array([["It's here. I watched  this 3D movie!", "nothing", ""], ["i watched  THIS"]])
    assert as_written(texts, ["i", "watched", "␣", "this"]) == ["I watched  this", "", "", "i watched  THIS"]
    assert as_written(pa.chunked_array([["Don't"]]), ["don", "'", "t"]) == ["Don't"]
    assert as_written(pa.chunked_array([["Don't", ""]]), ["do"]) == ["", ""]
