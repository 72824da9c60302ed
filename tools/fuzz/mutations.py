"""Mutations of files: of bytes, of text, and of what a format holds inside. All are drawn from one generator."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable

Draw = random.Random
Mutate = Callable[[Draw, bytes], bytes]

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1, 2**31 + 7)
NUMBERS = (
    "0",
    "-1",
    "1e308",
    "-1e-308",
    "NaN",
    "nan",
    "inf",
    "9" * 40,
    "9" * 5000,
    "2147483648",
    "1.5",
    "true",
    '""',
    "[]",
)
TEXTS = (
    "",
    "\x00",
    "\x1b]0;x\x07",
    "\u202e",
    "../../etc/passwd",
    "/dev/zero",
    "A" * 70_000,
    "ä" * 300,
    "{}",
    "%s%n",
    "😀",
    "Lambda",
)


def of_bytes(draw: Draw, content: bytes) -> bytes:
    """One to eight changes of bytes at random places."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        if not data:
            return b""
        _CHANGES[draw.randrange(len(_CHANGES))](draw, data)
    return bytes(data)


def _place(draw: Draw, data: bytearray) -> int:
    """A place; headers and footers are where parsers decide, so half of the places are there."""
    edge = min(len(data), 256)
    return draw.choice((draw.randrange(len(data)), draw.randrange(edge), len(data) - 1 - draw.randrange(edge)))


def _flip(draw: Draw, data: bytearray) -> None:
    data[_place(draw, data)] ^= 1 << draw.randrange(8)


def _set(draw: Draw, data: bytearray) -> None:
    data[_place(draw, data)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))


def _integer(draw: Draw, data: bytearray) -> None:
    width = draw.choice((2, 4, 8))
    at = _place(draw, data) // width * width
    number = draw.choice(EDGES) & ((1 << 8 * width) - 1)
    data[at : at + width] = number.to_bytes(width, draw.choice(("little", "big")))


def _cut(draw: Draw, data: bytearray) -> None:
    del data[_place(draw, data) :]


def _drop(draw: Draw, data: bytearray) -> None:
    at = _place(draw, data)
    del data[at : at + draw.choice((1, 2, 4, 16, 300))]


def _repeat(draw: Draw, data: bytearray) -> None:
    at, to = _place(draw, data), _place(draw, data)
    data[to:to] = data[at : at + draw.choice((1, 4, 64, 1000))] * draw.choice((1, 2, 50))


def _run(draw: Draw, data: bytearray) -> None:
    at, count = _place(draw, data), draw.choice((4, 16, 128))
    data[at : at + count] = bytes([draw.choice((0, 0xFF, 0x41))]) * count


def _append(draw: Draw, data: bytearray) -> None:
    data += draw.randbytes(draw.choice((1, 8, 4000)))


_CHANGES = (_flip, _flip, _set, _set, _integer, _integer, _integer, _cut, _drop, _repeat, _run, _append)


def of_text(draw: Draw, content: bytes) -> bytes:
    """One to four changes of lines, numbers and quoted words of a text."""
    text = content.decode("utf-8", "replace")
    for _ in range(draw.choice((1, 1, 2, 4))):
        text = draw.choice((_number, _number, _word, _word, _lines, _nest, _key))(draw, text)
    encoded = text.encode("utf-8", "replace")
    return draw.choice((encoded, encoded, encoded, b"\xef\xbb\xbf" + encoded, of_bytes(draw, encoded)))


def _swap(draw: Draw, text: str, pattern: str, new: str) -> str:
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    one = draw.choice(found)
    return text[: one.start()] + new + text[one.end() :]


def _number(draw: Draw, text: str) -> str:
    return _swap(draw, text, r"-?\d+(\.\d+)?", draw.choice(NUMBERS))


def _word(draw: Draw, text: str) -> str:
    new = json.dumps(draw.choice(TEXTS)) if draw.random() < 0.7 else draw.choice(NUMBERS)
    return _swap(draw, text, r'"[^"\n]*"', new)


def _key(draw: Draw, text: str) -> str:
    return _swap(
        draw, text, r"[A-Za-z_]{3,}", draw.choice(("", "x", "__class__", "A" * 300, "auto_map", "weights", "data"))
    )


def _nest(draw: Draw, text: str) -> str:
    depth = draw.choice((3, 600, 5000))
    left, right = draw.choice((("[", "]"), ('{"a":', "}"), ("{a=", "}")))
    return _swap(draw, text, r'"[^"\n]*"|-?\d+(\.\d+)?', left * depth + "1" + right * depth)


def _lines(draw: Draw, text: str) -> str:
    lines = text.split("\n")
    at, to = draw.randrange(len(lines)), draw.randrange(len(lines))
    change = draw.randrange(4)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(to, lines[at])
    elif change == 2:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines[at] = lines[at][: draw.randrange(len(lines[at]) + 1)]
    return "\n".join(lines)


def of_safetensors(draw: Draw, content: bytes) -> bytes:
    """The header's JSON changed as a text, its length right or nearly so."""
    length = int.from_bytes(content[:8], "little")
    header = of_text(draw, content[8 : 8 + length])
    said = len(header) + draw.choice((0, 0, 0, 1, -1, 1 << 40))
    return struct.pack("<Q", said % 2**64) + header + content[8 + length :]


def inside_zip(*inner: Mutate) -> Mutate:
    """A change of one member of an archive, or of its list of members; checksums are right afterwards."""

    def mutate(draw: Draw, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
        at = draw.randrange(len(members))
        name, member = members[at]
        change = draw.randrange(8)
        if change == 0:
            del members[at]
        elif change == 1:
            members.append((name, member))
        elif change == 2:
            members[at] = (draw.choice(("../x", "/abs", name + "x", name.upper(), "A" * 60_000)), member)
        elif change == 3:
            members[at] = (name, member + bytes(draw.choice((1, 1 << 20, 32 << 20))))
        else:
            members[at] = (name, draw.choice(inner)(draw, member))
        made = io.BytesIO()
        method = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(made, "w", method) as archive:
            for name, member in members:
                archive.writestr(name, member)
        return made.getvalue()

    return mutate


def of_npy(draw: Draw, content: bytes) -> bytes:
    """The header of a .npy file changed as a text, its length right."""
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length].decode("latin1").strip()
    kinds = ("'|O'", "'<f8'", "'<c16'", "'<U4'", "'|V0'", "'|S100000000'", "[('a', '<f4')]", "'<M8[s]'")
    header = draw.choice(
        (
            lambda: _swap(draw, header, r"'[<>|=][^']*'", draw.choice(kinds)),
            lambda: _swap(draw, header, r"\d+", draw.choice(NUMBERS)),
            lambda: _swap(
                draw, header, r"\(.*?\)", draw.choice(("()", "(1,)*9", "(2**40,)", "(0, 0)", "(-1,)", "(1,) " * 9))
            ),
            lambda: header.replace("False", "True"),
            lambda: _swap(draw, header, r"'\w+':", "'x':"),
        )
    )()
    made = header.encode("latin1", "replace")[:60_000] + b"\n"
    return content[:8] + struct.pack("<H", len(made)) + made + content[10 + length :]


def of_pickle(draw: Draw, content: bytes) -> bytes:
    """Opcodes put in or exchanged: calls of functions, huge lengths and places, circles, marks without a start."""
    forged = (
        b"cposix\nsystem\n(S'touch $ASSAY_FUZZ_CANARY'\ntR.",
        b"\x80\x02cbuiltins\nexec\nq\x00X\x05\x00\x00\x001+1+1q\x01\x85R",
        b"c__builtin__\neval\n(S'1'\ntR",
        b"cnumpy\nload\n)R",
        b"r\xff\xff\xff\x0f",
        b"B\xff\xff\xff\x7f",
        b"\x8e" + struct.pack("<Q", 2**62),
        b"\x8d" + struct.pack("<Q", 2**40),
        b"]q\x05h\x05a",
        b"}q\x06h\x06h\x06s",
        b"0" * 8,
        b"(" * 300 + b"t" * 300,
        b"\x8b\xff\xff\xff\x7f",
        b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ctorch\nload\n)R",
        b"\x95" + struct.pack("<Q", 2**50),
        b"Q",
        b"b",
        b"\x81",
    )
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2))):
        at = _place(draw, data) if data else 0
        data[at : at + draw.choice((0, 0, 1, 2))] = draw.choice(forged)
    return bytes(data)


def of_png(draw: Draw, content: bytes) -> bytes:
    """One chunk of a PNG changed, its checksum right."""
    chunks, at = [], 8
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    place = draw.randrange(len(chunks))
    kind, body = chunks[place]
    change = draw.randrange(4)
    if change == 0:
        chunks.insert(draw.randrange(len(chunks)), (kind, body))
    elif change == 1:
        chunks[place] = (
            draw.choice((b"tEXt", b"zTXt", b"iCCP", b"PLTE", b"acTL", b"IEND")),
            zlib.compress(bytes(1 << 20)),
        )
    else:
        chunks[place] = (kind, of_bytes(draw, body or b"\0"))
    made = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return content[:8] + b"".join(made)
