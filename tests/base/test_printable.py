from hypothesis import given
from hypothesis import strategies as st

from assay.base.printable import printable


def test_what_a_terminal_obeys_is_replaced():
    assert printable("a\x1b[31mred\x07\x9b") == "a\ufffd[31mred\ufffd\ufffd"
    assert printable("gnp.\u202etxt\u2066 \ud800") == "gnp.\ufffdtxt\ufffd \ufffd"
    assert printable("two\nlines\tétat 猫") == "two\nlines\tétat 猫"


@given(st.text())
def test_ordinary_text_stays(text):
    assert printable(printable(text)) == printable(text)
    assert len(printable(text)) == len(text)
