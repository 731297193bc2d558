"""``radcommons federate server``, ``client`` and ``keys``: a training between machines."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, show
from radcommons.errors import SettingRefused

KEYS_EPILOG = """
radcommons federate keys --host federation.example.org --out server-keys

radcommons federate keys --client --out my-key
"""
SERVER_EPILOG = """
radcommons federate server federation.toml --certificates server-keys --clients clients --out federation
"""
CLIENT_EPILOG = """
radcommons federate client stores/site-a --server federation.example.org:8443 --certificate ca.pem \\
--key my-key/client_key --out runs/federated
"""


def keys(
    out: Path = typer.Option(..., "--out", help="Folder of the keys; it must be new or empty."),
    hosts: list[str] = typer.Option(
        [], "--host", metavar="NAME|IP", help="Name or IP address by which clients reach the server; may be repeated."
    ),
    client: bool = typer.Option(False, "--client", help="Make the keys of a client, not those of a server."),
    as_json: bool = AsJson,
) -> None:
    """Make what a server and its clients know each other by: a certificate, or a client's pair of keys."""
    from radcommons.federated.deployment import keys as made

    if client == bool(hosts):
        raise SettingRefused("say either --host NAME, for a server, or --client; see 'radcommons federate keys --help'")
    if client:
        fingerprint = made.new_client_key(out)
        files = {"private": str(out / made.CLIENT_KEY), "public": str(out / made.CLIENT_PUBLIC)}
        show(
            {**files, "fingerprint": fingerprint},
            f"{files['private']}: keep it on this machine; who has it can take part in your name\n"
            f"{files['public']}: give it to the server's operator, who saves it under your name: "
            f"CLIENTS/YOUR-HOSPITAL.pub; tell them the fingerprint {fingerprint} by telephone",
            as_json,
        )
        return
    made.new_certificate(out, hosts)
    show(
        {name: str(out / name) for name in (made.SERVER_KEY, made.CERTIFICATE, made.CA)},
        f"{out / made.SERVER_KEY} and {out / made.CERTIFICATE}: keep them on this machine\n"
        f"{out / made.CA}: give it to every client, with the server's address",
        as_json,
    )


def server(
    config: Path = typer.Argument(metavar="CONFIG.toml", help="Settings of the training."),
    out: Path = typer.Option(..., "--out", help="Folder of the results."),
    certificates: Path = typer.Option(
        ..., "--certificates", help="Folder of the server's certificate, from 'radcommons federate keys --host NAME'."
    ),
    clients: Path = typer.Option(
        ..., "--clients", help="Folder of the clients' public keys, each as NAME.pub; no other client is let in."
    ),
    host: str = typer.Option(
        "0.0.0.0", "--host", help="Listen on 0.0.0.0 (all IPv4), :: (all IPv6) or 127.0.0.1 (this machine)."
    ),
    port: int = typer.Option(8443, "--port", min=1, max=65535, help="Port to listen on."),
) -> None:
    """Run the server of a federated training until the training is finished."""
    from radcommons.federated.deployment.server import serve

    serve(config, out, certificates=certificates, clients=clients, host=host, port=port, say=typer.echo)


def client(
    store: Path = typer.Argument(metavar="STORE", help="This hospital's store; it never leaves this machine."),
    out: Path = typer.Option(..., "--out", help="Folder of this client's run."),
    server: str = typer.Option(..., "--server", metavar="HOST:PORT", help="Address of the federation's server."),
    certificate: Path = typer.Option(..., "--certificate", help="The server's ca.pem, from its operator."),
    key: Path = typer.Option(..., "--key", help="Private key, from 'radcommons federate keys --client'."),
    limits: Path | None = typer.Option(
        None, "--limits", help="A TOML file of the most that a server may ask of this client."
    ),
) -> None:
    """Take part in a federated training with this hospital's store until the training is finished."""
    from radcommons.federated.deployment.client import join

    join(store, out, server=server, certificate=certificate, key=key, limits=limits, say=typer.echo)
