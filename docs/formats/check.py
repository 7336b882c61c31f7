#!/usr/bin/env python3
"""Checks the worked examples in this folder without any code of CareLedger: from the documents' words alone.

Needs Python 3 and the package `cryptography`. Exits with 0 if every example follows from the others as documented.
"""
import base64
import hashlib
import hmac
import pathlib
import re
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EMPTY = b"SPARSE_MERKLE_PLACEHOLDER_HASH__"


def examples():
    """Every block of hexadecimal in the documents, by name."""
    found = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.md")):
        for name, block in re.findall(r"```hex (\S+)\n(.*?)```", path.read_text(), re.S):
            lines = (line.split(";")[0] for line in block.splitlines())
            found[name] = bytes.fromhex("".join("".join(lines).split()))
    return found


def sha256(data):
    return hashlib.sha256(data).digest()


def parts(*all_parts):
    return b"".join(struct.pack(">Q", len(part)) + part for part in all_parts)


def hkdf(key, domain, *info):
    extracted = hmac.new(domain, key, "sha256").digest()
    return hmac.new(extracted, parts(*info) + b"\x01", "sha256").digest()


def tag(key, position):
    return hmac.new(key, struct.pack(">Q", position), "sha256").digest()[:16]


def leaf(entry):
    return sha256(b"\x00" + entry)


def state_leaf(key, value_hash):
    return sha256(b"JMT::LeafNode" + key + value_hash)


def state_node(left, right):
    return sha256(b"JMT::IntrnalNode" + left + right)


def bit(key, depth):
    return key[depth // 8] >> (7 - depth % 8) & 1


def state_root(entries, depth=0):
    if not entries:
        return EMPTY
    if len(entries) == 1:
        ((key, value),) = entries.items()
        return state_leaf(key, sha256(value))
    halves = [{k: v for k, v in entries.items() if bit(k, depth) == side} for side in (0, 1)]
    return state_node(*(state_root(half, depth + 1) for half in halves))


def absence_root(proof, asked):
    """The root to which a proof of absence leads."""
    current = EMPTY
    has_leaf, proof = proof[0], proof[1:]
    if has_leaf:
        key, value_hash, proof = proof[:32], proof[32:64], proof[64:]
        assert key != asked
        current = state_leaf(key, value_hash)
    count, proof = struct.unpack("<I", proof[:4])[0], proof[4:]
    if has_leaf:
        assert all(bit(key, depth) == bit(asked, depth) for depth in range(count))
    for depth in reversed(range(count)):
        kind, proof = proof[0], proof[1:]
        sibling = EMPTY
        if kind:
            sibling = (state_node if kind == 1 else state_leaf)(proof[:32], proof[32:64])
            proof = proof[64:]
        current = state_node(sibling, current) if bit(asked, depth) else state_node(current, sibling)
    assert not proof
    return current


def streams(ex):
    network = sha256(ex["genesis"])
    assert network == ex["network"]
    branch = hkdf(b"\x07" * 32, b"careledger/branch/v1", network, b"index/clinic", bytes(4))
    assert branch == ex["branch-key"]
    document = hkdf(branch, b"careledger/stream/v1", b"document/Observation/17")
    entries = hkdf(branch, b"careledger/stream/v1", b"entries")
    assert (document, entries) == (ex["document-key"], ex["entries-key"])
    tags = tag(document, 1), tag(document, 2), tag(entries, 1)
    assert tags == (ex["document-tag-1"], ex["document-tag-2"], ex["entries-tag-1"])
    descriptor = sha256(ex["record-descriptor"])
    assert descriptor == ex["record-descriptor-digest"]
    commitment = sha256(parts(b"careledger/item/v1", network, b"clinic", b"\x06" * 32, descriptor))
    assert ex["item"] == tags[0] + tags[2] + commitment


def closing(ex):
    branch = hkdf(b"\x07" * 32, b"careledger/branch/v1", ex["network"], b"index/clinic", struct.pack(">I", 1))
    former, successor = ex["entries-key"], hkdf(branch, b"careledger/stream/v1", b"entries")
    salt, opening = (hkdf(successor, b"careledger/stream-purpose/v1", name) for name in (b"successor", b"closing"))
    target = sha256(parts(b"careledger/successor/v1", salt, tag(successor, 1)))
    moved = ex["moved-descriptor"]
    assert moved == b"\x82\x05\x81\x83\x6cindex/clinic\x01\x58\x20" + target
    commitment = sha256(parts(b"careledger/item/v1", ex["network"], b"clinic", opening, sha256(moved)))
    assert ex["closing-item"] == tag(former, 2) + tag(former, 0) + commitment


def statement(ex, padding):
    root = sha256(b"\x01" + leaf(padding) + leaf(ex["item"]))
    assert root in ex["payload"]
    envelope, payload = ex["envelope"], ex["payload"]
    protected = envelope[2:106]
    signed = b"\x84\x6aSignature1" + protected + b"\x40\x58" + bytes([len(payload)]) + payload
    key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32).public_key()
    key.verify(envelope[-64:], signed)
    assert ex["statement"] == b"\x82\x59" + struct.pack(">H", len(envelope)) + envelope + b"\x58\x80" + padding + ex["item"]


def block(ex):
    body = b"\x81\x59" + struct.pack(">H", len(ex["statement"])) + ex["statement"]
    assert leaf(ex["envelope"]) == ex["leaf"]
    key = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32).public_key()
    validators = b"\x81\x81\x58\x20" + key.public_bytes_raw()
    digest = sha256(parts(b"careledger/validators/v1", validators, validators))
    assert digest == ex["validators-digest"]
    assert all(part in ex["header"] for part in (sha256(body), ex["leaf"], digest, ex["state-root"]))
    assert sha256(ex["header"]) == ex["block-digest"]
    assert ex["vote-message"].endswith(ex["block-digest"])
    key.verify(ex["finality-certificate"][-64:], ex["vote-message"])


def state(ex, padding):
    def key(one):
        return sha256(parts(b"careledger/tag/v1", b"clinic", one))

    assert key(ex["document-tag-1"]) == ex["state-key"]
    entries = {}
    for index, item in enumerate((padding, ex["item"])):
        for one in (item[:16], item[16:32]):
            entries[key(one)] = struct.pack(">QH", 0, index)
    assert state_root(entries) == ex["state-root"]
    assert absence_root(ex["absence"][22:], key(ex["document-tag-2"])) == ex["state-root"]


def cose_receipt(ex):
    """The signature is over the root; of a log of one entry, that is the leaf."""
    receipt, signature = ex["cose-receipt"], ex["cose-receipt"][-64:]
    length = receipt[3]
    protected = receipt[2 : 4 + length]
    assert b"\x02\x65log/1" in protected
    signed = b"\x84\x6aSignature1" + protected + b"\x40\x58\x20" + ex["leaf"]
    Ed25519PrivateKey.from_private_bytes(b"\x01" * 32).public_key().verify(signature, signed)
    assert receipt[4 + length :].startswith(b"\xa1\x19\x01\x8c\xa1\x20\x81\x44\x83\x01\x00\x80\xf6")
    statement, receipts = ex["envelope"], b"\xa1\x19\x01\x8a\x81\x58" + bytes([len(receipt)]) + receipt
    empty = statement.index(b"\xa0", 106)
    assert ex["transparent-statement"] == statement[:empty] + receipts + statement[empty + 1 :]


def es256(ex):
    """The same by a P-256 key: another algorithm in both protected headers, and ECDSA with the lower s."""
    key = ec.derive_private_key(int.from_bytes(b"\x01" * 32, "big"), ec.SECP256R1())

    def named(protected):
        assert protected[2:5] == b"\xa4\x01\x27"
        return protected[:4] + b"\x26" + protected[5:]

    def sign(protected, payload):
        signed = b"\x84\x6aSignature1" + protected + b"\x40" + payload
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(key.sign(signed, algorithm))
        return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")

    envelope, receipt = ex["envelope"], ex["cose-receipt"]
    protected, payload = named(envelope[2:106]), envelope[107:-66]
    start, end = b"\xd2\x84" + protected, payload + b"\x58\x40" + sign(protected, payload)
    length = receipt[3]
    protected = named(receipt[2 : 4 + length])
    root = b"\x58\x20" + leaf(start + b"\xa0" + end)
    receipt = receipt[:2] + protected + receipt[4 + length : -64] + sign(protected, root)
    receipts = b"\xa1\x19\x01\x8a\x81\x58" + bytes([len(receipt)]) + receipt
    assert ex["es256-transparent-statement"] == start + receipts + end


def checkpoint(ex):
    origin = b"careledger/" + ex["network"].hex().encode()
    text = origin + b"\n1\n" + base64.b64encode(ex["leaf"]) + b"\n"
    message = b"cosignature/v1\ntime 1780272001\n" + text
    assert ex["cosignature-message"] == message
    validator = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    key = validator.public_key().public_bytes_raw()
    name = origin + b"/clinic"
    lines = b""
    for name, kind, signed in (
        (origin, b"\x01", validator.sign(text)),
        (name, b"\x04", struct.pack(">Q", 1780272001) + validator.sign(message)),
    ):
        key_id = sha256(name + b"\n" + kind + key)[:4]
        lines += "— ".encode() + name + b" " + base64.b64encode(key_id + signed) + b"\n"
    assert ex["checkpoint"] == text + b"\n" + lines
    assert ex["cosigner-key"] == b"+".join((name, key_id.hex().encode(), base64.b64encode(kind + key)))


def whole(ex):
    for part in ("item", "item-path", "envelope", "log-path", "header", "finality-certificate", "absence"):
        assert ex[part] in ex["receipt"], part
    for part in ("record-descriptor", "receipt"):
        assert ex[part] in ex["export"], part
    assert ex["dump-block"] == b"\x83" + ex["header"] + b"\x81\x59" + struct.pack(">H", len(ex["statement"])) + ex["statement"] + ex["finality-certificate"]


def main():
    ex = examples()
    padding = b"\x08" * 16 + b"\x09" * 16 + b"\x0a" * 32
    streams(ex)
    closing(ex)
    statement(ex, padding)
    block(ex)
    state(ex, padding)
    cose_receipt(ex)
    es256(ex)
    checkpoint(ex)
    whole(ex)
    print(f"{len(ex)} examples follow from the documents")


if __name__ == "__main__":
    sys.exit(main())
