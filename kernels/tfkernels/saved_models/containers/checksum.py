"""CRC-32C, with which checkpoints protect their blocks and tensors, in NumPy.

A long text is cut into pieces of one length. All of them go through the table at the same time, and are then joined two
by two: a checksum is linear, so that the first of two moves on by a matrix.
"""

from typing import Any, List, Union

import numpy as np

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
_PIECE, _PIECES = 1024, 4096
"""Bytes of a piece, and pieces at once: what is in use fits into a processor's cache."""


def _make_tables() -> "List[np.ndarray[Any, Any]]":
    """How each byte of a word of four changes the checksum when the word has passed."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    tables = [table]
    for _ in range(3):
        tables.append(table[tables[-1] & 0xFF] ^ tables[-1] >> np.uint32(8))
    return tables[::-1]


_TABLES = _make_tables()
_LIST: List[int] = _TABLES[-1].tolist()


def crc32c(data: Union[bytes, bytearray, memoryview]) -> int:
    raw = np.frombuffer(data, np.uint8)
    value, place = _ALL, 0
    while len(raw) - place >= 2 * _PIECE:
        count = 1 << (min((len(raw) - place) // _PIECE, _PIECES).bit_length() - 1)  # so that all join in pairs
        size = count * _PIECE
        value = _of_pieces(value, raw[place : place + size].reshape(count, _PIECE))
        place += size
    return _of_bytes(value, raw[place:].tobytes()) ^ _ALL


def _of_bytes(value: int, data: bytes) -> int:
    for byte in data:
        value = _LIST[(value ^ byte) & 0xFF] ^ value >> 8
    return value


def _of_pieces(value: int, pieces: "np.ndarray[Any, Any]") -> int:
    words = np.ascontiguousarray(pieces.view("<u4").T).astype(np.uint32, copy=False)
    sums = np.zeros(len(pieces), np.uint32)
    sums[0] = value
    for word in words:
        octets = (sums ^ word).astype("<u4", copy=False).view(np.uint8)
        sums = _TABLES[0].take(octets[0::4])
        for place in (1, 2, 3):
            sums ^= _TABLES[place].take(octets[place::4])
    matrix = _AFTER_A_PIECE
    while len(sums) > 1:
        sums = _times(matrix, sums[::2]) ^ sums[1::2]
        matrix = _times(matrix, matrix)
    return int(sums[0])


def unmasked(stored: int) -> int:
    """The checksum itself: files hold it turned and moved, so that checksums of checksums differ."""
    turned = (stored - 0xA282EAD8) & _ALL
    return (turned >> 17 | turned << 15) & _ALL


def _times(matrix: "np.ndarray[Any, Any]", values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The matrix, given by its images of the 32 bits, applied to each of ``values``."""
    found = np.zeros_like(values)
    for bit in range(32):
        found ^= matrix[bit] * (values >> np.uint32(bit) & np.uint32(1))
    return found


def _after_zeros(length: int) -> "np.ndarray[Any, Any]":
    """How an unfinished checksum changes by so many zero bytes, a power of two."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    matrix: np.ndarray[Any, Any] = _TABLES[-1][bits & 0xFF] ^ bits >> np.uint32(8)
    for _ in range(length.bit_length() - 1):
        matrix = _times(matrix, matrix)
    return matrix


_AFTER_A_PIECE = _after_zeros(_PIECE)
