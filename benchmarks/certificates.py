"""Makes the certificate of a benchmark's service, and that of the authority which its clients trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


def make_certificates(folder: Path) -> None:
    """
    Write ``ca.pem`` and ``service.pem``, the latter with its key.

    :param folder: where to
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "service.pem")
