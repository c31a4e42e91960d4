"""Values on their way between the grader and a worker: JSON for the structure, raw bytes for the arrays.

Whatever a worker sends is untrusted, so nothing here unpickles, decompresses or evaluates anything, and `loads` raises
`ValueError` on all that is not well-formed.
"""

import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

HEAD = struct.Struct(">QQ")
LARGEST_BODY = 64 << 20  # bytes of arrays
LARGEST_HEADER = 2 << 20  # bytes of JSON, which takes some thirty times as much memory once it is parsed
_DTYPES = {dtype.name: dtype for dtype in map(np.dtype, "?bhilBHILefdFD")}


@dataclass
class Tensor:
    """A torch tensor: its values as an array, its dtype by name (bfloat16 travels as a float32 array)."""

    array: np.ndarray
    dtype: str = ""

    def __post_init__(self):
        self.array = np.asarray(self.array)
        self.dtype = self.dtype or self.array.dtype.name


@dataclass
class OpaqueValue:
    """Any other object: what kind it is, and what is known of it."""

    kind: str
    metadata: dict = field(default_factory=dict)


def dumps(value: object) -> bytes:
    """Return one frame of `value`: None, bools, numbers, texts, lists, tuples, dicts, arrays, or one of the classes."""
    arrays: list[bytes] = []
    header = json.dumps(_pack(value, arrays)).encode()
    body = b"".join(arrays)
    return HEAD.pack(len(header), len(body)) + header + body


def loads(frame: bytes) -> Any:
    """Return the value in a frame that `dumps` made; `ValueError` if it is anything else."""
    try:
        header, body = HEAD.unpack_from(frame)
        if len(frame) != HEAD.size + header + body or header > LARGEST_HEADER or body > LARGEST_BODY:
            raise ValueError("a frame of the wrong length")
        start = HEAD.size + header
        return _unpack(json.loads(frame[HEAD.size : start]), memoryview(frame)[start:])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, struct.error) as error:
        raise ValueError(f"not a frame: {type(error).__name__}") from error


def cut_frames(received: bytearray, frames: list[bytes], most: int) -> None:
    """Move the whole frames at the start of `received` to `frames`, up to `most`; `ValueError` if one is too long."""
    while len(frames) < most and len(received) >= HEAD.size:
        header, body = HEAD.unpack_from(received)
        if header > LARGEST_HEADER or body > LARGEST_BODY:
            raise ValueError("a frame longer than allowed")
        length = HEAD.size + header + body
        if len(received) < length:
            return
        frames.append(bytes(received[:length]))
        del received[:length]


def read(stream: BinaryIO) -> bytes | None:
    """Return the next whole frame of a stream, or None at its end."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length = sum(HEAD.unpack(head))
    rest = stream.read(length)
    return head + rest if len(rest) == length else None


def _pack(value, arrays):
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value).tobytes()
        arrays.append(data)
        return {"array": [value.dtype.name, list(value.shape), sum(map(len, arrays)) - len(data)]}
    if isinstance(value, Tensor):
        return {"tensor": [value.dtype, _pack(value.array, arrays)]}
    if isinstance(value, OpaqueValue):
        return {"opaque": [value.kind, _pack(value.metadata, arrays)]}
    if isinstance(value, dict):
        return {"dict": [[str(key), _pack(item, arrays)] for key, item in value.items()]}
    return {"tuple" if isinstance(value, tuple) else "list": [_pack(item, arrays) for item in value]}


def _unpack(node, body):
    if node is None or isinstance(node, bool | int | float | str):
        return node
    ((kind, content),) = node.items()
    if kind == "array":
        name, shape, offset = content
        dtype = _DTYPES[name]
        if not all(isinstance(n, int) and n >= 0 for n in [*shape, offset]):
            raise ValueError("a shape or offset that is none")
        size = math.prod(shape) * dtype.itemsize
        if offset + size > len(body):
            raise ValueError("an array past the end")
        # A read-only view: an answer may name the same bytes many times, and copies of them would fill the memory.
        return np.frombuffer(body[offset : offset + size], dtype).reshape(shape)
    if kind == "tensor":
        name, array = content[0], _unpack(content[1], body)
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            raise ValueError("a tensor without its array")
        return Tensor(array, name)
    if kind == "opaque":
        name, metadata = content[0], _unpack(content[1], body)
        if not isinstance(name, str) or not isinstance(metadata, dict):
            raise ValueError("an opaque value without its metadata")
        return OpaqueValue(name, metadata)
    if kind == "dict":
        return {str(key): _unpack(item, body) for key, item in content}
    if kind not in ("list", "tuple"):
        raise ValueError("an unknown kind")
    items = [_unpack(item, body) for item in content]
    return tuple(items) if kind == "tuple" else items
