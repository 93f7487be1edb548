"""Certificates in files, as an administrator would lay them out."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from rt_predictor.client import Access
from rt_predictor.security.certificates import CertificateFiles

HOSTS = ("localhost", "127.0.0.1")
LAST_YEAR = datetime.now(UTC) - timedelta(days=365)


@dataclass
class Place:
    """A folder with a CA and what it signs."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.ca_file = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def issue(
        self,
        name: str = "server",
        *identities: str,
        expired: bool = False,
        ca: trustme.CA | None = None,
    ) -> CertificateFiles:
        """Writes NAME.pem and NAME.key, over those that are there."""
        until = LAST_YEAR if expired else datetime.now(UTC) + timedelta(days=30)
        issued = (ca or self.ca).issue_cert(
            *(identities or HOSTS),
            common_name=name,
            not_before=LAST_YEAR - timedelta(days=1),
            not_after=until,
        )
        files = CertificateFiles(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        files.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(files.key)
        return files

    def access(self, client: str = "") -> Access:
        """What a client needs that trusts the CA; one with a name has its own certificate."""
        if not client:
            return Access(ca=self.ca_file)
        own = self.issue(client)
        return Access(ca=self.ca_file, certificate=own.certificate, key=own.key)
