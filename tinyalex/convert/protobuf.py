"""Protocol buffers, without the library: how a message is laid out in a file.

A message is a row of fields. Each begins with a varint, key = number · 8 + kind: the number says
which field it is (the .proto file of a format has the list), the kind how long its value is.

    kind 0   a varint: seven bits a byte, the lowest first; the eighth bit says that more follow
    kind 1   8 bytes
    kind 2   a varint with a length, and that many bytes: a text, a message, or "packed" numbers
    kind 5   4 bytes

Kinds 3 and 4 were brackets around groups of fields and are no longer used. So 08 96 01 is field
1 with the number 22 + 1·128 = 150, and 2a 04 00 00 80 3f is field 5 with four bytes, which may be a
packed float 1.0.

A message knows nothing of its own length, and a reader skips what it does not know. The contents of
a field of kind 2 are parsed only when asked for, so there is no recursion.
"""

from tinyalex.support.arrays import Damaged

Value = int | memoryview
Message = dict[int, list[Value]]

MOST_FIELDS = 10_000  # in one message; those of Caffe's networks have a few hundred


def message(data: memoryview) -> Message:
    """The fields of a message by number, in their order: integers, or views of the bytes.

    Damaged where the bytes are no such row of fields.
    """
    fields: Message = {}
    at = count = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        value, at = _value(data, at, kind, number)
        count += 1
        if number == 0 or count > MOST_FIELDS:
            raise Damaged("field number 0" if number == 0 else f"more than {MOST_FIELDS:,} fields")
        fields.setdefault(number, []).append(value)
    return fields


def _value(data: memoryview, at: int, kind: int, number: int) -> tuple[Value, int]:
    """The value that begins at `at`, and where the next field begins."""
    if kind == 0:
        return varint(data, at)
    if kind == 2:
        length, at = varint(data, at)
    elif kind in (1, 5):
        length = 8 if kind == 1 else 4
    else:
        raise Damaged(f"field {number} is of kind {kind}")
    if length > len(data) - at:
        raise Damaged(f"field {number} announces {length:,} bytes, but {len(data) - at:,} are left")
    return data[at : at + length], at + length


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The varint that begins at `at`, and where it ends."""
    value = 0
    for i in range(10):  # 64 bits
        if at + i >= len(data):
            raise Damaged("the file ends in the middle of a number")
        byte = data[at + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise Damaged("a number with more than 64 bits")


def parts(fields: Message, number: int) -> list[memoryview]:
    """The values of a field of kind 2 (or 1, or 5); Damaged where they are integers."""
    values = []
    for value in fields.get(number, []):
        if isinstance(value, int):
            raise Damaged(f"field {number} is a number")
        values.append(value)
    return values


def text(fields: Message, number: int) -> str:
    """The text in a field, the last one if there are several; "" if there is none."""
    texts = parts(fields, number)
    return bytes(texts[-1]).decode("utf-8", "replace") if texts else ""


def integers(fields: Message, number: int, most: int) -> list[int]:
    """The integers of a repeated field, which may be packed or one by one; Damaged where they are
    more than `most`."""
    numbers = []
    for value in fields.get(number, []):
        if isinstance(value, int):
            numbers.append(value)
            continue
        at = 0
        while at < len(value) and len(numbers) <= most:
            packed, at = varint(value, at)
            numbers.append(packed)
    if len(numbers) > most:
        raise Damaged(f"field {number} has more than {most} numbers")
    return numbers
