"""The outer form of glTF 2.0: JSON with buffers beside or inside it, and the numbers in these."""

import base64
import json
import struct
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np

from .beside import find_beside

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_TYPES = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_UNREADABLE = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")
_LONGEST = 100_000_000  # numbers of an accessor without a buffer: a line of JSON must not fill the memory


class Container:
    """A glTF file: `document`, its JSON, and what its accessors and buffer views hold.

    Raises ValueError for what is no glTF 2.0 or compressed, FileNotFoundError for a buffer's file that is not there.
    """

    def __init__(self, path: Path):
        self.path = path
        content = path.read_bytes()
        text, self._body = content, b""
        if path.suffix.lower() == ".glb":
            text, self._body = _chunks(content)
        self.document: dict[str, Any] = json.loads(text)
        version = str(self.document.get("asset", {}).get("version"))
        if not version.startswith("2"):
            raise ValueError(f"glTF of version {version}: only 2 can be read")
        for name in self.document.get("extensionsRequired", []):
            if name in _UNREADABLE:
                raise ValueError(f"needs {name}, which cannot be read: export it without compression")
        self._buffers: dict[int, bytes] = {}

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Return a list of the document, empty if it has none."""
        return self.document.get(name, [])

    def numbers(self, accessor: int) -> np.ndarray:
        """Return what an accessor holds: (N, C) of its own type, or float32 in [0, 1] or [-1, 1] if it is normalised."""
        entry = self.entries("accessors")[accessor]
        kind, count = np.dtype(_TYPES[entry["componentType"]]).newbyteorder("<"), int(entry["count"])
        width = _WIDTHS[entry["type"]]
        if "bufferView" in entry:
            values = self._block(entry["bufferView"], entry.get("byteOffset", 0), kind, (count, width))
        elif 0 <= count * width <= _LONGEST:
            values = np.zeros((count, width), kind)
        else:
            raise ValueError(f"accessor {accessor} has {count} entries in no buffer")
        if sparse := entry.get("sparse"):
            places, others = sparse["indices"], sparse["values"]
            at = np.dtype(_TYPES[places["componentType"]]).newbyteorder("<")
            index = self._block(places["bufferView"], places.get("byteOffset", 0), at, (sparse["count"], 1))[:, 0]
            values = values.copy()
            values[index] = self._block(
                others["bufferView"], others.get("byteOffset", 0), kind, (sparse["count"], width)
            )
        if entry.get("normalized") and kind.kind in "iu":
            return np.maximum(values.astype(np.float32) / np.iinfo(kind.name).max, -1)
        return values

    def view(self, number: int) -> bytes:
        """Return the bytes of a buffer view. Raises ValueError if its buffer is shorter."""
        entry = self.entries("bufferViews")[number]
        buffer, start, length = self._buffer(entry["buffer"]), entry.get("byteOffset", 0), entry["byteLength"]
        if not 0 <= start <= start + length <= len(buffer):
            raise ValueError(f"buffer view {number} ends at byte {start + length}, its buffer at {len(buffer)}")
        return buffer[start : start + length]

    def _block(self, number: int, offset: int, kind: np.dtype, shape: tuple[int, int]) -> np.ndarray:
        content = self.view(number)
        item = kind.itemsize * shape[1]
        stride = self.entries("bufferViews")[number].get("byteStride", item)
        end = offset + (shape[0] - 1) * stride + item if shape[0] else offset
        if min(offset, shape[0]) < 0 or stride < item or end > len(content):
            raise ValueError(f"{shape[0]} entries end at byte {end} of buffer view {number}, which has {len(content)}")
        return np.ndarray(shape, kind, content, offset, (stride, kind.itemsize))

    def _buffer(self, number: int) -> bytes:
        if number not in self._buffers:
            uri = self.entries("buffers")[number].get("uri")
            if uri is None:
                content: bytes | None = self._body
            else:
                content = self.fetch(uri)
                if content is None:
                    raise FileNotFoundError(f"{self.path}: no file {uri} with its buffer")
            assert content is not None
            self._buffers[number] = content
        return self._buffers[number]

    def fetch(self, uri: str) -> bytes | None:
        """Return the bytes that a URI of the document names, of a file beside it or its own; None if there is no file."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        file = find_beside(self.path, urllib.parse.unquote(uri))
        return None if file is None else file.read_bytes()


def pack(document: dict[str, Any], body: bytes) -> bytes:
    """Return the bytes of a GLB file with this JSON and this buffer, whose length is a multiple of 4."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(body), _BIN) + body
    return struct.pack("<III", _MAGIC, 2, 12 + len(chunks)) + chunks


def _chunks(content: bytes) -> tuple[bytes, bytes]:
    """Return the JSON and the buffer of a GLB file's bytes."""
    if len(content) < 20 or struct.unpack_from("<I", content)[0] != _MAGIC:
        raise ValueError("not the beginning of a GLB file")
    _, version, length = struct.unpack_from("<III", content)
    if version != 2:
        raise ValueError(f"GLB of version {version}: only 2 can be read")
    if length > len(content):
        raise ValueError(f"cut off: {length} bytes announced, {len(content)} there")
    found: dict[int, bytes] = {}
    start = 12
    while start + 8 <= length:
        size, kind = struct.unpack_from("<II", content, start)
        found.setdefault(kind, content[start + 8 : start + 8 + size])
        start += 8 + size
    return found.get(_JSON, b""), found.get(_BIN, b"")
