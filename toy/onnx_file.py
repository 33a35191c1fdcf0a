"""Writes small ONNX files from arrays, without the `onnx` package: a few protobuf messages are all that it takes.

The field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. A protobuf message is a row of
(field number and wire type, value); the wire type 0 is a variable-length whole number, 2 is bytes with their length in
front (texts, messages, packed lists), 5 is four bytes (a float).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

IR_VERSION, OPSET = 8, 13
ELEMENTS = {np.dtype(np.float32): 1, np.dtype(np.int64): 7, np.dtype(np.float16): 10}
Shape = Sequence[int | str]  # a text is the name of an axis that may have any length
Attribute = int | float | Sequence[int]


@dataclass(frozen=True)
class Node:
    """One operator: the names that it reads, the one that it gives, and its attributes."""

    operator: str
    inputs: Sequence[str]
    output: str
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Port:
    """An input or output of the whole graph."""

    name: str
    shape: Shape
    element: type[np.generic] = np.float32


def onnx_file(nodes: Iterable[Node], weights: dict[str, np.ndarray], ports: tuple[Port, ...]) -> bytes:
    """The file's content. `ports` are the input, then the outputs; nodes come in the order of computing."""
    graph = b"".join(_bytes(1, _node(node)) for node in nodes)
    graph += _bytes(2, b"graph")
    graph += b"".join(_bytes(5, _tensor(name, array)) for name, array in weights.items())
    graph += _bytes(11, _port(ports[0])) + b"".join(_bytes(12, _port(port)) for port in ports[1:])
    return _number(1, IR_VERSION) + _bytes(2, b"loratory") + _bytes(7, graph) + _bytes(8, _number(2, OPSET))


def _node(node: Node) -> bytes:
    message = b"".join(_bytes(1, name.encode()) for name in node.inputs)
    message += _bytes(2, node.output.encode()) + _bytes(3, node.output.encode()) + _bytes(4, node.operator.encode())
    return message + b"".join(_bytes(5, _attribute(name, value)) for name, value in node.attributes.items())


def _attribute(name: str, value: Attribute) -> bytes:
    message = _bytes(1, name.encode())
    if isinstance(value, int):
        return message + _number(3, value) + _number(20, 2)
    if isinstance(value, float):
        return message + bytes([2 << 3 | 5]) + struct.pack("<f", value) + _number(20, 1)
    return message + b"".join(_number(8, one) for one in value) + _number(20, 7)


def _tensor(name: str, array: np.ndarray) -> bytes:
    message = b"".join(_number(1, length) for length in array.shape)
    little = array.astype(array.dtype.newbyteorder("<"))
    return message + _number(2, ELEMENTS[array.dtype]) + _bytes(8, name.encode()) + _bytes(9, little.tobytes())


def _port(port: Port) -> bytes:
    lengths = [_bytes(2, one.encode()) if isinstance(one, str) else _number(1, one) for one in port.shape]
    shape = b"".join(_bytes(1, length) for length in lengths)
    tensor = _number(1, ELEMENTS[np.dtype(port.element)]) + _bytes(2, shape)
    return _bytes(1, port.name.encode()) + _bytes(2, _bytes(1, tensor))


def _number(place: int, value: int) -> bytes:
    return _varint(place << 3) + _varint(value)


def _bytes(place: int, value: bytes) -> bytes:
    return _varint(place << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow. Negative numbers as 64-bit ones."""
    value &= 2**64 - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
