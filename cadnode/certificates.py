"""Certificates for TLS between a node and its peers: an authority for tests, or a request.

A small authority of one's own serves while a node is set up, and where a hospital has none; where
there is one, a certificate signing request goes to it. Certificates are X.509 version 3 (RFC 5280),
for servers and clients alike: of two DICOM peers each may open the association.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cadnode.errors import SettingsError

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 825
_EARLIER: Final = timedelta(minutes=5)  # for peers whose clock is behind
_RSA_BITS: Final = 3072  # NIST SP 800-57: as strong as P-256
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class SigningAuthority:
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @staticmethod
    def begun(name: str, now: datetime, *, by_rsa: bool = False) -> "SigningAuthority":
        """A new authority of that name, valid for ten years from `now`."""
        key, who = new_key(by_rsa=by_rsa), _named(name)
        made = (
            _begun(who, who, key, now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(_key_id(key), critical=False)
            .sign(key, hashes.SHA256())
        )
        return SigningAuthority(made, key)

    @staticmethod
    def read(certificate: bytes, key: bytes) -> "SigningAuthority":
        """An authority from two PEM files.

        Raises
        ------
        SettingsError
            They hold none, or do not fit each other.
        """
        try:
            found = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError):
            raise SettingsError("ca.pem and ca.key hold no certificate and key in PEM") from None
        if not isinstance(private, PrivateKey) or private.public_key() != found.public_key():
            raise SettingsError("ca.key is not the key of ca.pem")
        return SigningAuthority(found, private)

    def sign(
        self, names: Sequence[str], key: PrivateKey, now: datetime, days: int = CERTIFICATE_DAYS
    ) -> x509.Certificate:
        """A certificate for a machine with these names and IP addresses.

        It ends with the authority's own at the latest.

        Raises
        ------
        SettingsError
            A name is none, or the authority has expired.
        """
        left = (self.certificate.not_valid_after_utc - now).days
        if left < 1:
            raise SettingsError("the authority has expired: make another in a new folder")
        issuer = self.certificate.public_key()
        assert isinstance(issuer, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        return (
            _begun(_named(names[0]), self.certificate.subject, key, now, min(days, left))
            .add_extension(alternative_names(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(_key_id(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )


def new_key(*, by_rsa: bool = False) -> PrivateKey:
    """A private key: on the curve P-256, or RSA for an authority that signs no other."""
    if by_rsa:
        return rsa.generate_private_key(65537, _RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def request(names: Sequence[str], key: PrivateKey) -> x509.CertificateSigningRequest:
    """A request for an authority to sign (PKCS #10, RFC 2986). Raises `SettingsError`."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_named(names[0]))
        .add_extension(alternative_names(names), critical=False)
        .sign(key, hashes.SHA256())
    )


def pem(what: x509.Certificate | x509.CertificateSigningRequest | PrivateKey) -> bytes:
    """PEM text; of a key PKCS #8, without a password."""
    if isinstance(what, PrivateKey):
        return what.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    return what.public_bytes(serialization.Encoding.PEM)


def alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """The names by which peers call a machine. Raises `SettingsError` for what is none."""
    return x509.SubjectAlternativeName([_alternative(name) for name in names])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    labels = name.split(".")
    is_name = len(name) < 254 and all(
        0 < len(label) < 64
        and label.replace("-", "").isalnum()
        and label.isascii()
        and not label.startswith("-")
        for label in labels
    )
    if not is_name:
        raise SettingsError(f"{name!r} is no host name and no IP address")
    return x509.DNSName(name)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])  # X.520's upper bound


def _begun(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
    )


def _key_id(key: PrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
