"""TLS contexts from a `Trust`."""

import ssl

from layerstore.errors import UsageError
from registry_client.certificates import Trust


def tls_context(trust: Trust, *, bundle: str) -> ssl.SSLContext:
    """A client's side of the handshake: the system's authorities, those of `trust`, its client pairs.

    `bundle` is a PEM file of authorities for systems that have none of their own. Raises `UsageError`
    for a file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust.is_verified:
        context.load_default_certs()
        if not _has_system_authorities():
            context.load_verify_locations(cafile=bundle)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in trust.authorities:
        try:
            context.load_verify_locations(cafile=path)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(f"cannot use the certificate authority {path}: {_reason(error)}") from error
    for certificate, key in trust.client_pairs:
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise UsageError(f"cannot use the client certificate {certificate}: {_reason(error)}") from error
    return context


def _has_system_authorities() -> bool:
    places = ssl.get_default_verify_paths()  # None for what is not there
    return places.cafile is not None or places.capath is not None


def _reason(error: OSError) -> str:
    return "not PEM, or not its key" if isinstance(error, ssl.SSLError) else str(error.strerror).lower()
