"""Unpacks compressed clusters and opens LUKS headers, as QEMU does.

With Python's zlib, and libzstd and libcrypto by ctypes: what qfsck itself
links, so that nothing more must be installed.
"""

import ctypes
import functools
import hashlib
import struct
import zlib

ZLIB, ZSTD = 0, 1
PASSWORD = b"qfsck"     # of tools.SECRET

# LUKS header, name: (offset, bytes)
LUKS = {
    "magic": (0, 6),
    "version": (6, 2),
    "cipher_name": (8, 32),
    "cipher_mode": (40, 32),
    "hash_spec": (72, 32),
    "payload_offset": (104, 4),
    "key_bytes": (108, 4),
    "master_key_digest": (112, 20),
    "master_key_salt": (132, 32),
    "master_key_iterations": (164, 4),
    "uuid": (168, 40),
}
# One of its eight key slots, from byte 208 on, 48 bytes each
LUKS_SLOTS, LUKS_SLOT_BYTES = 208, 48
LUKS_SLOT = {
    "active": (0, 4),
    "iterations": (4, 4),
    "salt": (8, 32),
    "key_offset": (40, 4),
    "stripes": (44, 4),
}
LUKS_MAGIC = b"LUKS\xba\xbe"
LUKS_ENABLED = 0x00AC71F3
LUKS_BYTES = 592
STRIPES = 4000


# -- compressed clusters -----------------------------------------------

class Buffer(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t),
                ("pos", ctypes.c_size_t)]


@functools.lru_cache(maxsize=None)
def libzstd():
    lib = ctypes.CDLL("libzstd.so.1")
    lib.ZSTD_createDStream.restype = ctypes.c_void_p
    lib.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    lib.ZSTD_initDStream.argtypes = [ctypes.c_void_p]
    lib.ZSTD_decompressStream.argtypes = [
        ctypes.c_void_p, ctypes.POINTER(Buffer), ctypes.POINTER(Buffer)]
    lib.ZSTD_decompressStream.restype = ctypes.c_size_t
    lib.ZSTD_isError.argtypes = [ctypes.c_size_t]
    return lib


def unzstd(packed, length):
    lib = libzstd()
    source = ctypes.create_string_buffer(packed, len(packed))
    target = ctypes.create_string_buffer(length)
    into = Buffer(ctypes.addressof(target), length, 0)
    out_of = Buffer(ctypes.addressof(source), len(packed), 0)
    stream = lib.ZSTD_createDStream()
    try:
        lib.ZSTD_initDStream(stream)
        while into.pos < length:
            before = out_of.pos, into.pos
            left = lib.ZSTD_decompressStream(stream, ctypes.byref(into),
                                             ctypes.byref(out_of))
            if lib.ZSTD_isError(left):
                return None
            if left == 0 and into.pos < length or \
                    before == (out_of.pos, into.pos):
                return None
    finally:
        lib.ZSTD_freeDStream(stream)
    return target.raw


@functools.lru_cache(maxsize=512)
def unpack(packed, length, how):
    """The LENGTH bytes of a compressed cluster; None if it gives fewer."""
    if how == ZSTD:
        return unzstd(packed, length)
    try:
        data = zlib.decompressobj(-12).decompress(packed, length)
    except zlib.error:
        return None
    return data if len(data) == length else None


# -- AES ---------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def libcrypto():
    lib = ctypes.CDLL("libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", "EVP_get_cipherbyname"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.EVP_get_cipherbyname.argtypes = [ctypes.c_char_p]
    lib.EVP_CIPHER_CTX_free.argtypes = [ctypes.c_void_p]
    lib.EVP_CIPHER_CTX_set_padding.argtypes = [ctypes.c_void_p, ctypes.c_int]
    lib.EVP_DecryptInit_ex.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p,
        ctypes.c_char_p]
    lib.EVP_DecryptUpdate.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int),
        ctypes.c_char_p, ctypes.c_int]
    return lib


def decrypt_blocks(key, data):
    """AES, block by block (ECB)."""
    lib = libcrypto()
    context = lib.EVP_CIPHER_CTX_new()
    target = ctypes.create_string_buffer(len(data) + 32)
    got = ctypes.c_int(0)
    cipher = lib.EVP_get_cipherbyname(b"AES-%d-ECB" % (8 * len(key)))
    try:
        if not lib.EVP_DecryptInit_ex(context, cipher, None, key, None):
            raise ValueError("no AES")
        lib.EVP_CIPHER_CTX_set_padding(context, 0)
        lib.EVP_DecryptUpdate(context, target, ctypes.byref(got), data,
                              len(data))
    finally:
        lib.EVP_CIPHER_CTX_free(context)
    return target.raw[:got.value]


def exclusive_or(a, b):
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(
        len(a), "big")


@functools.lru_cache(maxsize=512)
def decrypt(key, sector, data):
    """Whole sectors of AES-CBC with "plain64", from sector SECTOR on."""
    before = b"".join(
        struct.pack("<QQ", sector + n, 0) + data[512 * n:512 * n + 496]
        for n in range(len(data) // 512))
    return exclusive_or(decrypt_blocks(key, data), before)


# -- LUKS --------------------------------------------------------------

def number(header, place, base=0):
    offset, size = place
    return int.from_bytes(header[base + offset:base + offset + size], "big")


def diffuse(block):
    out = b""
    for n, at in enumerate(range(0, len(block), 32)):
        piece = block[at:at + 32]
        out += hashlib.sha256(struct.pack(">I", n) + piece).digest()[
            :len(piece)]
    return out


def merge(material, length):
    """What was split for the key slot against recovery of erased keys."""
    block = bytes(length)
    for n in range(STRIPES):
        block = exclusive_or(block, material[n * length:(n + 1) * length])
        if n < STRIPES - 1:
            block = diffuse(block)
    return block


def slot_bases():
    return [LUKS_SLOTS + n * LUKS_SLOT_BYTES for n in range(8)]


def luks_is_odd(header):
    """Why QEMU refuses a LUKS header that it has read; None: it does not."""
    text = [header[o:o + n] for o, n in (
        LUKS["cipher_name"], LUKS["cipher_mode"], LUKS["hash_spec"])]
    if header[:6] != LUKS_MAGIC or number(header, LUKS["version"]) != 1:
        return "no LUKS header"
    if [t.split(b"\0")[0] for t in text] != [b"aes", b"cbc-plain64",
                                             b"sha256"]:
        return "another cipher or hash"
    if number(header, LUKS["payload_offset"]) < 8 or \
            not number(header, LUKS["master_key_iterations"]):
        return "payload or iterations"
    if number(header, LUKS["key_bytes"]) not in (16, 24, 32):
        return "key length"
    return slots_are_odd(header)


def slots_are_odd(header):
    taken = []
    sectors = -(-number(header, LUKS["key_bytes"]) * STRIPES // 512)
    for base in slot_bases():
        state = number(header, LUKS_SLOT["active"], base)
        start = number(header, LUKS_SLOT["key_offset"], base)
        if state not in (LUKS_ENABLED, 0x0000DEAD):
            return "state of a key slot"
        if number(header, LUKS_SLOT["stripes"], base) != STRIPES or \
                state == LUKS_ENABLED and \
                not number(header, LUKS_SLOT["iterations"], base):
            return "stripes or iterations of a key slot"
        if start < 8 or start + sectors > number(header,
                                                 LUKS["payload_offset"]):
            return "place of a key slot"
        if any(start < at + sectors and at < start + sectors
               for at in taken):
            return "key slots overlap"
        taken.append(start)
    return None


@functools.lru_cache(maxsize=64)
def unlock(luks):
    """The master key in LUKS, the bytes from the header on; None: none."""
    header = luks[:LUKS_BYTES].ljust(LUKS_BYTES, b"\0")
    if luks_is_odd(header):
        return None
    length = number(header, LUKS["key_bytes"])
    digest, salt = (header[o:o + n] for o, n in (
        LUKS["master_key_digest"], LUKS["master_key_salt"]))
    for base in slot_bases():
        if number(header, LUKS_SLOT["active"], base) != LUKS_ENABLED:
            continue
        key = slot_key(luks, header, base, length)
        if key and hashlib.pbkdf2_hmac("sha256", key, salt, min(1 << 20, number(
                header, LUKS["master_key_iterations"])), 20) == digest:
            return key
    return None


def slot_key(luks, header, base, length):
    rounds = number(header, LUKS_SLOT["iterations"], base)
    if rounds > 1 << 20:        # hours: whoever waits gets no key either
        return None
    offset, size = LUKS_SLOT["salt"]
    salt = header[base + offset:base + offset + size]
    secret = hashlib.pbkdf2_hmac("sha256", PASSWORD, salt, rounds, length)
    at = 512 * number(header, LUKS_SLOT["key_offset"], base)
    whole = -(-length * STRIPES // 512) * 512
    material = luks[at:at + whole].ljust(whole, b"\0")
    return merge(decrypt(secret, 0, material), length)
