"""Certificates: tried before they are used, and followed when their files are renewed."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from loguru import logger

from rt_predictor.errors import CertificateError
from rt_predictor.security import certificates
from rt_predictor.security.certificates import (
    CLIENT_CA,
    SERVER,
    CertificateFiles,
    CertificateWatch,
    read_certificates,
)
from tests.security.files import Place


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message} {extra}")
    yield lines
    logger.remove(sink)


def test_a_good_pair_is_read_with_its_expiry(place: Place) -> None:
    files = place.issue()
    found = read_certificates(files)
    assert (found.chain, found.client_ca) == (files.certificate.read_bytes(), None)
    assert found.expires_at_s[SERVER] == pytest.approx(time.time() + 30 * 86_400, abs=120)
    assert "PRIVATE" not in repr(found)


def test_an_intermediate_in_the_chain_and_the_ca_of_clients_are_read(place: Place) -> None:
    between = place.ca.create_child_ca()
    files = replace(place.issue(ca=between), client_ca=place.ca_file)
    found = read_certificates(files)
    assert found.chain.count(b"BEGIN CERTIFICATE") == 2
    assert found.client_ca == place.ca_file.read_bytes()
    assert found.expires_at_s[CLIENT_CA] > found.expires_at_s[SERVER]


def _wrong(files: CertificateFiles) -> str:
    with pytest.raises(CertificateError) as raised:
        read_certificates(files)
    text = str(raised.value)
    assert "\n" not in text
    return text


def test_a_missing_file_is_named_with_its_setting(place: Place) -> None:
    files = replace(place.issue(), key=place.folder / "none.key")
    assert _wrong(files) == f"{files.key} (security.key) cannot be read: No such file or directory"


@pytest.mark.parametrize("setting", ["certificate", "key", "client_ca"])
def test_a_file_that_is_not_pem_is_named_with_its_setting(place: Place, setting: str) -> None:
    bad = place.folder / "bad.pem"
    bad.write_text("-----BEGIN NONSENSE-----\n")
    text = _wrong(replace(place.issue(), **{setting: bad}))
    assert text.startswith(f"{bad} (security.{setting}) holds no ")
    assert "PEM form" in text


def test_a_key_of_another_certificate(place: Place) -> None:
    files = replace(place.issue(), key=place.issue("other").key)
    assert _wrong(files).startswith(
        f"{files.key} (security.key) is not the key of {files.certificate} (security.certificate)"
    )


def test_a_key_with_a_password_is_not_asked_for(place: Place) -> None:
    files = place.issue()
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert "without a password" in _wrong(files)


def test_an_expired_certificate(place: Place) -> None:
    text = _wrong(place.issue(expired=True))
    assert "would be refused by clients: certificate has expired; renew it" in text


def test_a_certificate_that_is_not_for_servers(place: Place) -> None:
    files = place.issue()
    signed = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    for_clients = (
        x509.CertificateBuilder()
        .subject_name(signed.subject)
        .issuer_name(signed.subject)
        .public_key(signed.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([x509.OID_CLIENT_AUTH]), critical=True)
        .sign(key, signed.signature_hash_algorithm)  # type: ignore[arg-type]
    )
    files.certificate.write_bytes(for_clients.public_bytes(serialization.Encoding.PEM))
    assert "would be refused by clients" in _wrong(files)


def test_a_client_ca_that_is_no_ca(place: Place) -> None:
    files = place.issue()
    files = replace(files, client_ca=files.certificate)
    assert _wrong(files).endswith("(security.client_ca) holds no certificate of a CA")


def test_files_that_change_while_they_are_read_are_not_mixed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = place.issue()
    look = certificates._server_expiry_s

    def renew_meanwhile(asked: CertificateFiles) -> float:
        expiry_s = look(asked)
        place.issue()
        return expiry_s

    monkeypatch.setattr(certificates, "_server_expiry_s", renew_meanwhile)
    assert "changed while they were read" in _wrong(files)


# renewal


def test_renewed_files_are_taken_up(place: Place, log: list[str]) -> None:
    watch = CertificateWatch(place.issue())
    old = watch.current
    watch.look()
    assert watch.current is old
    place.issue()
    watch.look()
    assert watch.current.chain != old.chain
    assert watch.current.chain == watch.files.certificate.read_bytes()
    assert log == [line for line in log if line.startswith("INFO certificate renewed")]
    assert len(log) == 1


@pytest.mark.parametrize("fault", ["mismatched", "expired", "missing", "no PEM"])
def test_a_bad_renewed_file_leaves_the_old_one_until_it_is_mended(
    place: Place, log: list[str], fault: str
) -> None:
    watch = CertificateWatch(place.issue())
    old = watch.current
    match fault:
        case "mismatched":
            watch.files.key.write_bytes(place.issue("other").key.read_bytes())
        case "expired":
            place.issue(expired=True)
        case "missing":
            watch.files.key.unlink()
        case _:
            watch.files.certificate.write_text("half a fi")
    for _ in range(3):
        watch.look()
    assert watch.current is old
    assert str(place.folder) in watch.problem
    (line,) = log
    assert line.startswith("ERROR renewed certificate not usable: the old one stays")
    place.issue()
    watch.look()
    assert watch.problem == ""
    assert watch.current is not old


def test_a_link_to_other_files_is_a_renewal(place: Place) -> None:
    for name in ("old", "new"):
        place.issue(name)
    for end in ("pem", "key"):
        (place.folder / f"live.{end}").symlink_to(f"old.{end}")
    watch = CertificateWatch(CertificateFiles(place.folder / "live.pem", place.folder / "live.key"))
    for end in ("pem", "key"):
        link = Path(place.folder / f"next.{end}")
        link.symlink_to(f"new.{end}")
        link.replace(place.folder / f"live.{end}")
    watch.look()
    assert watch.current.chain == (place.folder / "new.pem").read_bytes()


def test_an_old_and_a_new_ca_of_clients_may_stand_in_one_file(place: Place) -> None:
    other = trustme.CA()
    place.ca_file.write_bytes(place.ca.cert_pem.bytes() + other.cert_pem.bytes())
    found = read_certificates(replace(place.issue(), client_ca=place.ca_file))
    assert found.expires_at_s[CLIENT_CA] > time.time()
