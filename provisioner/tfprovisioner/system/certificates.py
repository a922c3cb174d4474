"""The system's file of certificate authorities. uv and py-rattler have lists of their own, and take a file instead."""

import os

_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS
)


def advice() -> str:
    """What helps if an authority is unknown. An administrator may have added a company's own to the system's file."""
    found = next(filter(os.path.isfile, _FILES), None)
    systems = f" (the system's own file is {found})" if found else ""
    return f"Name a file with the authority's certificate in SSL_CERT_FILE{systems}"
