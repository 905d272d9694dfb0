"""Signatures of an artifact's manifest, in the format of minisign (https://jedisct1.github.io/minisign/).

The manifest holds the digests of everything that is loaded, so its signature covers the artifact. What is written here
is verified by minisign, and what minisign signs (`minisign -Sm antivenom.json`) is verified here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antivenom.artifacts.manifest import MANIFEST
from antivenom.core.console import printable
from antivenom.core.errors import ArtifactError, MissingPackageError, OptionsError
from antivenom.core.files import atomic_write
from antivenom.core.intake import read_bytes, read_text

SIGNATURE = f"{MANIFEST}.minisig"
LARGEST = 64 * 2**10
SCRYPT_MEMORY = 2**30
"""The most that a key's own settings may ask for; as much as minisign's do."""


@dataclass(frozen=True)
class PublicKey:
    """A public key and its number."""

    number: bytes
    """Eight bytes by which a signature says whose it is."""
    key: bytes
    """Ed25519, 32 bytes."""

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a key file of minisign.

        Raises:
            ArtifactError: it is none.
        """
        data = _decoded(path, 1)
        if len(data) != 42 or data[:2] != b"Ed":
            raise ArtifactError(f"{path} is no public key of minisign", mend="Name the .pub file.")
        return cls(data[2:10], data[10:])


@dataclass(frozen=True)
class SecretKey:
    """A secret key; it never prints itself."""

    number: bytes
    seed: bytes

    def __repr__(self) -> str:
        return "SecretKey(hidden)"

    @classmethod
    def read(cls, path: Path, password: Callable[[], str]) -> SecretKey:
        """Read a key file of minisign.

        Args:
            path: The file.
            password: Asked for the password, if the key has one.

        Raises:
            ArtifactError: it is no such file, or the password is wrong.
        """
        data = _decoded(path, 1)
        if len(data) != 158 or data[:2] != b"Ed" or data[4:6] != b"B2":
            raise ArtifactError(f"{path} is no secret key of minisign", mend="Name the .key file.")
        body = data[54:]
        if data[2:4] == b"Sc":
            body = _unlocked(path, data, password())
        number, keys, told = body[:8], body[8:72], body[72:]
        # The second half of the keys is the public one; minisign writes no digest where there is no password.
        fits = hmac.compare_digest(_public(keys[:32]), keys[32:])
        digest = hashlib.blake2b(b"Ed" + number + keys, digest_size=32).digest()
        unlocked = data[2:4] == bytes(2) and told == bytes(32)
        if not (fits and (unlocked or hmac.compare_digest(digest, told))):
            raise ArtifactError(f"{path}: the password is wrong, or the key is damaged")
        return cls(number, keys[:32])


def new_key(path: Path) -> Path:
    """Write a new secret key without a password, readable by its owner alone, and its public key beside it.

    Args:
        path: The secret key; the public one gets the same name with `.pub` in the place of `.key` or behind it.

    Returns:
        The path of the public key.

    Raises:
        OptionsError: one of them is there already.
    """
    _ed25519()
    public_path = path.with_suffix(".pub") if path.suffix == ".key" else Path(f"{path}.pub")
    for one in (path, public_path):
        if os.path.lexists(one):
            raise OptionsError(f"{one} exists", mend="Choose another name; keys are never overwritten.")
    seed, number = os.urandom(32), os.urandom(8)
    public = _public(seed)
    told = hashlib.blake2b(b"Ed" + number + seed + public, digest_size=32).digest()
    secret = b"Ed" + bytes(2) + b"B2" + bytes(48) + number + seed + public + told
    _write(path, "minisign secret key of antivenom", secret, private=True)
    _write(public_path, f"minisign public key {number[::-1].hex().upper()}", b"Ed" + number + public)
    return public_path


def sign(folder: Path, key: SecretKey, *, comment: str = "") -> Path:
    """Sign the manifest of a folder.

    Args:
        folder: A finished artifact.
        key: The secret key.
        comment: One line that is signed as well.

    Returns:
        The signature's path.
    """
    private = _ed25519().Ed25519PrivateKey.from_private_bytes(key.seed)
    digest = hashlib.blake2b(read_bytes(folder / MANIFEST, error=ArtifactError)).digest()
    signature = private.sign(digest)
    trusted = printable(" ".join((comment or f"file:{MANIFEST}").split()))
    both = private.sign(signature + trusted.encode())
    lines = [
        "untrusted comment: signature of an antivenom artifact",
        _encoded(b"ED" + key.number + signature),
        f"trusted comment: {trusted}",
        _encoded(both),
    ]
    with atomic_write(folder / SIGNATURE) as file:
        file.write("\n".join(lines) + "\n")
    return folder / SIGNATURE


def require_signed(folder: Path, key: Path) -> str:
    """Refuse a folder whose manifest does not carry a valid signature of a key.

    Args:
        folder: The artifact.
        key: The file of the public key.

    Returns:
        The comment that was signed.

    Raises:
        ArtifactError: there is no signature, it is of another key, or it does not fit the manifest.
    """
    public = PublicKey.read(key)
    path = folder / SIGNATURE
    if not path.exists():
        raise ArtifactError(f"{folder} is not signed", mend=f"Do not use it, or sign it: antivenom sign {folder}.")
    data, both = _decoded(path, 1), _decoded(path, 3)
    trusted = _lines(path)[2].removeprefix("trusted comment: ")
    if len(data) != 74 or data[:2] not in (b"ED", b"Ed") or len(both) != 64:
        raise ArtifactError(f"{path} is no signature of minisign", mend="Restore it.")
    if data[2:10] != public.number:
        raise ArtifactError(f"{folder} is signed with another key than {key}", mend="Do not use it.")
    manifest = read_bytes(folder / MANIFEST, error=ArtifactError)
    signed = hashlib.blake2b(manifest).digest() if data[:2] == b"ED" else manifest
    if not (_fits(public, data[10:], signed) and _fits(public, both, data[10:] + trusted.encode())):
        raise ArtifactError(f"{folder}: the signature does not fit the manifest", mend="It was changed. Do not use it.")
    return trusted


def _fits(key: PublicKey, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        _ed25519().Ed25519PublicKey.from_public_bytes(key.key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _unlocked(path: Path, data: bytes, password: str) -> bytes:
    """Take the password's key stream off the body of a secret key."""
    salt, operations, memory = data[6:38], int.from_bytes(data[38:46], "little"), int.from_bytes(data[46:54], "little")
    if memory > SCRYPT_MEMORY or operations > SCRYPT_MEMORY:
        raise ArtifactError(f"{path} asks for {memory} bytes of memory", mend="It is damaged, or not yours.")
    # libsodium's choice of scrypt's parameters: block size 8, one lane where memory is what limits.
    exponent = max(1, (memory // 1024).bit_length() - 1)
    stream = hashlib.scrypt(
        password.encode(), salt=salt, n=2**exponent, r=8, p=1, maxmem=memory + 2**20, dklen=len(data) - 54
    )
    return bytes(a ^ b for a, b in zip(data[54:], stream, strict=True))


def _lines(path: Path) -> list[str]:
    return read_text(path, error=ArtifactError, most_bytes=LARGEST).splitlines()


def _decoded(path: Path, number: int) -> bytes:
    """A line of base64 in a file of minisign."""
    lines = _lines(path)
    try:
        return base64.b64decode(lines[number].encode("ascii"), validate=True)
    except (IndexError, ValueError):
        raise ArtifactError(f"{path} is no file of minisign", mend="Restore it, or name another file.") from None


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _write(path: Path, comment: str, data: bytes, *, private: bool = False) -> None:
    with atomic_write(path, private=private) as file:
        file.write(f"untrusted comment: {comment}\n{_encoded(data)}\n")


def _public(seed: bytes) -> bytes:
    key: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return key


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingPackageError(
            "signatures need the package cryptography", mend="Run `pip install 'antivenom[sign]'`."
        ) from None
    return ed25519
