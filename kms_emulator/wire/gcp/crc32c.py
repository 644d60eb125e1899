"""CRC-32C (Castagnoli), the checksum of Google's KMS fields.

Source: RFC 3720, appendix B.4; polynomial 0x1EDC6F41, reflected 0x82F63B78. A byte a step: 64 KiB, the most that a
field holds, take a few milliseconds.
"""

_REFLECTED_POLYNOMIAL = 0x82F63B78


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_REFLECTED_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the checksum: 0 to 2^32 - 1."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF
