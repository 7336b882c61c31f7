#!/usr/bin/env python3
"""Verifies the documents' transparent statement with a library that others wrote (PyPI `scitt-cose`).

    third_party.py                                     the worked examples, and that any changed byte fails
    third_party.py STATEMENT.cose KEY.pem...           a transparent statement, by the keys of those who signed

The statement's author and every member that gave a receipt must be among the keys. Exits with 0 if all verifies.
"""
import pathlib
import sys

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scitt_cose import extract_receipts, parse_signed_statement, verify_receipt

from check import examples


def entry_of(transparent):
    """The log's entry: the statement with an empty unprotected header."""
    protected, _, payload, signature = cbor2.loads(transparent).value
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def verify(transparent, keys):
    """Who stated, and who says that it is in the log; raises where anything does not verify."""
    parsed = [parse_signed_statement(transparent, public_key_pem=key) for key in keys]
    stated = [one for one in parsed if one["signature_verified"] is True]
    if not stated:
        raise ValueError("the statement's signature does not verify under any of the keys")
    receipts = extract_receipts(transparent)
    if not receipts:
        raise ValueError("there is no receipt")
    entry = entry_of(transparent).hex()
    issuers = []
    for receipt in receipts:
        results = [verify_receipt(receipt, leaf_entry_hex=entry, log_public_key_pem=key) for key in keys]
        verified = [result for result in results if result.ok]
        if not verified:
            raise ValueError(f"a receipt does not verify: {results[0].errors}")
        issuers.append(verified[0].issuer)
    return stated[0]["issuer"], stated[0]["subject"], issuers


def pem_of(private):
    key = private.public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fails(transparent, keys):
    try:
        verify(transparent, keys)
    except Exception:  # noqa: BLE001 - whatever the library raises, it did not verify
        return True
    return False


def worked_examples():
    ed25519 = [pem_of(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)) for seed in (1, 2)]
    p256 = [pem_of(ec.derive_private_key(int.from_bytes(bytes([seed]) * 32, "big"), ec.SECP256R1())) for seed in (1, 2)]
    for name, (own, other), of_other_kind in (
        ("transparent-statement", ed25519, p256[0]),
        ("es256-transparent-statement", p256, ed25519[0]),
    ):
        transparent = examples()[name]
        assert verify(transparent, [own]) == ("clinic", "items", ["clinic"])
        assert fails(transparent, [other]) and fails(transparent, [of_other_kind])
        for at in range(len(transparent)):
            changed = bytearray(transparent)
            changed[at] ^= 1
            assert fails(bytes(changed), [own]), f"byte {at} can be changed"
        print(f"scitt-cose verifies the {name}, and none of its {len(transparent)} bytes can be changed")


def main():
    if len(sys.argv) == 1:
        return worked_examples()
    statement, *keys = (pathlib.Path(path).read_bytes() for path in sys.argv[1:])
    issuer, subject, receipts = verify(statement, keys)
    print(f"{issuer} stated {subject}; in the log say {', '.join(receipts)}")


if __name__ == "__main__":
    sys.exit(main())
