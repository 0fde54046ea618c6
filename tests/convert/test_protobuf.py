"""Protocol buffers by hand: numbers of seven bits a byte, fields, lengths.

A reader of a binary format fails where the file ends early, where a length points beyond the end,
or where a number never stops; and it fails quietly where it takes the high bits of a number for
the low ones, or a field for its neighbour.
"""

import pytest
from caffe_writer import field
from caffe_writer import varint as written

from tinyalex.convert.protobuf import MOST_FIELDS, integers, message, parts, text, varint
from tinyalex.support.arrays import Damaged


def view(*numbers: int) -> memoryview:
    return memoryview(bytes(numbers))


def test_the_examples_of_the_docstring():
    assert message(view(0x08, 0x96, 0x01)) == {1: [150]}
    assert message(view(0x2A, 4, 0, 0, 0x80, 0x3F)) == {5: [view(0, 0, 0x80, 0x3F)]}


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**14 - 1, 2**14, 2**32, 2**63, 2**64 - 1])
def test_a_varint_comes_back_as_it_was_written(number):
    data = memoryview(written(number) + b"after")
    assert varint(data, 0) == (number, len(data) - 5)


@pytest.mark.parametrize(("data", "said"), [
    ((0x08,), "ends in the middle of a number"),
    ((0x08, 0x80), "ends in the middle of a number"),
    ((0x08, *[0xFF] * 11), "more than 64 bits"),
    ((0x0A, 5, 1, 2), "announces 5 bytes, but 2 are left"),
    ((0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F), "announces 4,294,967,295 bytes, but 0 are left"),
    ((0x0D, 1, 2, 3), "announces 4 bytes, but 3 are left"),
    ((0x09, 1, 2, 3), "announces 8 bytes, but 3 are left"),
    ((0x0B, 1), "field 1 is of kind 3"),
    ((0x0F, 1), "field 1 is of kind 7"),
    ((0x00, 1), "field number 0"),
])
def test_bytes_that_are_no_message_are_told_apart(data, said):
    with pytest.raises(Damaged, match=said):
        message(view(*data))


def test_every_prefix_of_a_message_is_a_message_or_damaged():
    whole = field(1, "name") + field(2, 300) + field(100, field(7, b"\x01\x02\x03"))
    read = 0
    for end in range(len(whole) + 1):
        try:
            read += bool(message(memoryview(whole[:end])))
        except Damaged:
            continue
    assert read == 3, "only where a field ends does a message end"


def test_fields_stay_in_order_and_unknown_ones_are_kept_apart():
    fields = message(memoryview(field(3, 1) + field(9, "x") + field(3, 2)))
    assert fields[3] == [1, 2]
    assert text(fields, 9) == "x" and text(fields, 8) == ""


def test_integers_come_packed_or_one_by_one():
    apart = message(memoryview(field(1, 96) + field(1, 300)))
    packed = message(memoryview(field(1, written(96) + written(300))))
    assert integers(apart, 1, 4) == integers(packed, 1, 4) == [96, 300]
    with pytest.raises(Damaged, match="more than 1 numbers"):
        integers(packed, 1, 1)


def test_a_number_where_bytes_should_be_is_damage():
    with pytest.raises(Damaged, match="field 7 is a number"):
        parts(message(memoryview(field(7, 1))), 7)


def test_a_message_of_very_many_fields_is_refused_before_it_takes_memory():
    with pytest.raises(Damaged, match="more than 10,000 fields"):
        message(memoryview(field(1, 0) * (MOST_FIELDS + 1)))


def test_messages_in_messages_are_not_looked_into():
    data = b""
    for _ in range(2_000):  # as deep as no stack would be
        data = field(1, data)
    assert len(message(memoryview(data))[1]) == 1
