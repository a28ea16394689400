"""Registries: the OCI distribution specification 1.1 as a client.

Rules live in modules without I/O and take time, randomness, environment and sleeping as arguments;
`transport` alone knows `requests`. Bottom up:

    origin, messages                    what goes over the wire, as values
    challenge, scope                    what a registry asks for, and what we ask it for
    retry, proxies, redirect            when again, through whom, where to
    settings, hosts, certificates       which hosts, in which order, trusted how
    docker_config, credential_helper, credentials
                                        who we are there
    failures                            a registry's refusals as our errors
    authority, auth                     what all threads know of tokens; the dance for one, as a generator
    tls, connections, transport         sockets
    exchange                            one request: redirected, retried, authenticated
    schemes, site, mirrors              one repository at one host; at one host after another
    documents, download, upload, listing, referrers
                                        what is asked of a repository
    repository                          all of that as a `layerstore.content.Target`
    search, client                      the client put together

Importing this package imports nothing; `registry_client.client` is the door.
"""
