"""Registries: the OCI distribution specification 1.1 as a client.

Rules live in modules without I/O and take time, randomness, environment and sleeping as arguments;
`transport` alone knows `requests`. Bottom up:

    origin, messages          what goes over the wire, as values
    challenge, scope, token   what a registry asks for, and what it gives
    retry, proxies, redirect  when again, through whom, where to
    settings, mirrors, certificates
                              which host, in which order, trusted how
    docker_config, credential_helper, credentials
                              who we are there
    auth, authority           the token dance as a generator; what all threads know of it
    transport                 sockets
    exchange                  one request: redirected, retried, authenticated
    failures                  a registry's refusals as our errors
    routes, download, upload, referrers, listing, repository
                              one repository as a `layerstore.content.Target`
    client                    all of it put together

Importing this package imports nothing; `registry_client.client` is the door.
"""
