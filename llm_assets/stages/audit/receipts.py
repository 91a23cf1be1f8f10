"""Receipts of take-downs: JSON without any text of a document, signed with ed25519 (RFC 8032).

The key is the one that ``LLM_ASSETS_SIGNING_KEY`` names (a PEM file, or PEM itself), else the store's own, made at first use
and readable by its owner alone; the public key lies beside it for whoever wants to check. What is signed is the canonical JSON
of the receipt without its signature.
"""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import canonical, write_atomic
from llm_assets.core.takedowns import FOLDER

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VARIABLE = "LLM_ASSETS_SIGNING_KEY"
PUBLIC_FILE = "public_key.pem"
_PRIVATE_FILE = ".signing_key.pem"
_SIGNED_BY, _SIGNATURE = "public_key", "signature"


def private_key(root: Path) -> "Ed25519PrivateKey":
    """The signing key; made, and the public one exported, where neither the variable nor the store has one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    given = os.environ.get(VARIABLE, "")
    path = Path(given).expanduser() if given and "-----" not in given else root / FOLDER / _PRIVATE_FILE
    if not given and not path.is_file():
        _make(path)
    try:
        pem = given.encode() if "-----" in given else path.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
    except (OSError, ValueError, TypeError) as error:
        where = VARIABLE if given else str(path)
        raise InputError(f"{where}: no signing key can be read there; give an ed25519 key as PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{VARIABLE}: that is no ed25519 key; make one with 'openssl genpkey -algorithm ed25519'")
    write_atomic(root / FOLDER / PUBLIC_FILE, _pem(key.public_key()))
    return key


def _make(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(pem)
        handle.flush()
        os.fsync(handle.fileno())


def _pem(key: "Ed25519PublicKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(receipt: Mapping[str, Any], key: "Ed25519PrivateKey") -> dict[str, Any]:
    """The receipt with ``public_key`` (PEM) and ``signature`` (base64)."""
    signed = {**receipt, _SIGNED_BY: _pem(key.public_key()).decode()}
    return {**signed, _SIGNATURE: base64.b64encode(key.sign(canonical(signed))).decode()}


def public_key(root: Path, given: Path | None = None) -> tuple["Ed25519PublicKey", str]:
    """The key that receipts are checked with, and where it is from: the file, else what the store exported."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    path = given or root / FOLDER / PUBLIC_FILE
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: no public key can be read there; give the one that was exported with --public-key"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path}: that is no ed25519 key")
    return key, str(path)


def is_signed_by(receipt: Mapping[str, Any], key: "Ed25519PublicKey") -> bool:
    """Whether the signature is this key's over all else that the receipt says."""
    from cryptography.exceptions import InvalidSignature

    try:
        signature = base64.b64decode(str(receipt[_SIGNATURE]), validate=True)
        key.verify(signature, canonical({name: value for name, value in receipt.items() if name != _SIGNATURE}))
    except (KeyError, ValueError, InvalidSignature):
        return False
    return True
