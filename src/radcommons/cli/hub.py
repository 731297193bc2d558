"""``radcommons hub``: run a hub, and use one."""

from pathlib import Path
from typing import Any, Literal

import typer

from radcommons.cli import package as package_commands
from radcommons.cli.output import AsJson, show

app = typer.Typer(help="Run a hub of generators, or use one.", no_args_is_help=True)
account = typer.Typer(help="Users, tokens and keys of a hub; for its operator.", no_args_is_help=True)
app.add_typer(account, name="account")

Data = typer.Option(Path("hub-data"), "--data", help="Folder of the hub's files and, without --database, its database.")
Database = typer.Option(
    None,
    "--database",
    envvar="RADCOMMONS_DATABASE",
    help="postgresql://USER:PASSWORD@HOST:PORT/NAME; default: SQLite in the folder.",
)
SERVE_EPILOG = """
radcommons hub serve --data hub-data --worker

radcommons hub serve --data hub-data --host hub.example.org --https --port 8000
"""


@app.command("serve", epilog=SERVE_EPILOG)
def serve(
    data: Path = Data,
    database: str | None = Database,
    port: int = typer.Option(8000, "--port", min=1, max=65535, help="Port to listen on."),
    bind: str = typer.Option("127.0.0.1", "--bind", help="Address to listen on; a proxy with TLS stands in front."),
    host: list[str] = typer.Option([], "--host", help="Name under which browsers reach the hub; may be repeated."),
    https: bool = typer.Option(False, "--https", help="A proxy in front speaks TLS: cookies are sent over TLS only."),
    worker: bool = typer.Option(False, "--worker", help="Also run a worker, for a small hub."),
    threads: int = typer.Option(8, "--threads", min=1, help="Threads of each server process."),
    processes: int = typer.Option(2, "--processes", min=1, help="Server processes."),
    open_metrics: bool = typer.Option(
        False, "--open-metrics", help="Show /metrics to everybody who asks, not to this machine only."
    ),
) -> None:
    """Serve the hub's pages, reads and deposits; the first start prints a link for the operator."""
    from contextlib import nullcontext

    from radcommons.hub.server import hub_site, worker_beside
    from radcommons.web import server

    with server.counted_together():
        server.ready(hub_site(data, database, host, https=https, open_metrics=open_metrics))
        from radcommons.hub.accounts import first_operator

        address = server.address(port, host, https=https)
        typer.echo(f"hub: {address}")
        if link := first_operator():
            typer.echo(f"operator, set your password here, once: {address}{link}")
        with worker_beside(data, database) if worker else nullcontext():
            server.serve(f"{bind}:{port}", threads=threads, processes=processes)


@app.command("worker")
def worker(
    data: Path = Data,
    database: str | None = Database,
    queue: Literal["all", "default", "drawings"] = typer.Option(
        "all", "--queue", help="default = examine deposits; drawings = draw films for visitors; all = both."
    ),
) -> None:
    """Examine deposits and draw films for visitors, until it is stopped."""
    from contextlib import nullcontext

    from radcommons.hub.server import hub_site, work, worker_beside
    from radcommons.web.server import ready

    ready(hub_site(data, database))
    with worker_beside(data, database, "drawings") if queue == "all" else nullcontext():
        work("default" if queue == "all" else queue)


@account.command("add")
def add(
    user: str = typer.Argument(help="User name."),
    organisation: str = typer.Option(..., "--organisation", help="Organisation; it is made if it is new."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """Make a user of an organisation; prints the path of a link with which they set their password."""
    _open(data, database)
    from radcommons.hub.accounts import add_user

    link = add_user(user, organisation)
    show(
        {"user": user, "organisation": organisation, "welcome": link},
        f"{user} is a member of {organisation}; send them this link: ADDRESS-OF-THE-HUB{link}",
        as_json,
    )


@account.command("remove")
def remove(
    user: str = typer.Argument(help="User name."),
    organisation: str = typer.Option(..., "--organisation", help="Organisation that they leave."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """End a membership; the user's tokens for the organisation stop working at once."""
    _open(data, database)
    from radcommons.hub.accounts import remove_user

    remove_user(user, organisation)
    show({"user": user, "organisation": organisation}, f"{user} is no member of {organisation} any more", as_json)


@account.command("link")
def link(
    user: str = typer.Argument(help="User name, also the operator's."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """Print the path of a new link with which a user sets a password, once, within three days."""
    _open(data, database)
    from radcommons.hub.accounts import new_link

    path = new_link(user)
    show({"user": user, "welcome": path}, f"send {user} this link: ADDRESS-OF-THE-HUB{path}", as_json)


@account.command("reset-second-factor")
def reset_second_factor(
    user: str = typer.Argument(help="User name, also the operator's."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """Turn a user's second factor off, for one who has lost the app and the recovery codes."""
    _open(data, database)
    from radcommons.hub import accounts

    accounts.reset_second_factor(user)
    show({"user": user, "second_factor": False}, f"{user} logs in with the password alone", as_json)


@account.command("list")
def list_accounts(data: Path = Data, database: str | None = Database, as_json: bool = AsJson) -> None:
    """List organisations with their members, tokens and keys."""
    _open(data, database)
    from radcommons.hub.accounts import listed

    places, lines = listed(), []
    for place in places:
        lines.append(f"{place['organisation']}: {', '.join(place['members'])}")
        for one in place["tokens"]:
            state = "revoked" if one["revoked"] else f"until {one['expires']}, used {one['last used'] or 'never'}"
            lines.append(f"  token {one['number']}: {one['user']}, {one['name']}, {one['scope']}, {state}")
        lines += [f"  key {k['fingerprint'][:16]}{' (withdrawn)' if k['withdrawn'] else ''}" for k in place["keys"]]
    show({"organisations": places}, "\n".join(lines) or "no organisation yet", as_json)


@account.command("token")
def token(
    user: str = typer.Argument(help="User name."),
    organisation: str = typer.Option(..., "--organisation", help="Organisation in whose name it deposits."),
    name: str = typer.Option("command line", "--name", help="What it is for."),
    scope: Literal["deposit", "withdraw"] = typer.Option("deposit", "--scope", help="withdraw = may withdraw too."),
    days: int = typer.Option(90, "--days", min=1, max=366, help="How long it is valid."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """Make a token for `radcommons hub push`; it is shown once."""
    _open(data, database)
    from radcommons.hub.accounts import add_token

    text = add_token(user, organisation, name=name, scope=scope, days=days)
    show({"token": text, "organisation": organisation, "scope": scope, "days": days}, text, as_json)


@account.command("revoke")
def revoke(
    number: int = typer.Argument(help="Number of the token, from 'radcommons hub account list'."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """End a token."""
    _open(data, database)
    from radcommons.hub.accounts import revoke_token

    revoke_token(number)
    show({"token": number, "revoked": True}, f"token {number}: revoked", as_json)


@account.command("key")
def key(
    public_key: Path = typer.Argument(help="Public key of 'radcommons keys new'."),
    organisation: str = typer.Option(..., "--organisation", help="Organisation whose packages it signs."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """Register a public key: packages that it signed count as the organisation's."""
    _open(data, database)
    from radcommons.hub.accounts import add_key

    known = add_key(organisation, public_key)
    show({"organisation": organisation, "fingerprint": known}, f"{organisation}: key {known[:16]} registered", as_json)


@account.command("withdraw-key")
def withdraw_key(
    fingerprint: str = typer.Argument(help="Its fingerprint, or how it begins."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """End a key: no new deposit may be signed with it; what it signed before can still be checked."""
    _open(data, database)
    from radcommons.hub import accounts

    accounts.withdraw_key(fingerprint)
    show({"key": fingerprint, "withdrawn": True}, f"key {fingerprint}: withdrawn", as_json)


@app.command("reference")
def reference(
    file: Path = typer.Argument(metavar="FILE.npz", help="Statistics of films, from 'radcommons reference'."),
    name: str = typer.Option(..., "--name", help="Name under which the gate reports distances to them."),
    data: Path = Data,
    database: str | None = Database,
    as_json: bool = AsJson,
) -> None:
    """Register reference statistics: the gate compares every deposit of their size with them."""
    _open(data, database)
    from radcommons.hub.accounts import add_reference

    add_reference(file, name)
    show({"name": name, "file": str(file)}, f"{name}: registered; deposits are compared with it from now on", as_json)


def _open(data: Path, database: str | None) -> None:
    from radcommons.hub.server import hub_site
    from radcommons.web.server import ready

    ready(hub_site(data, database))


Host = typer.Option(
    ...,
    "--hub",
    envvar="RADCOMMONS_HUB",
    help="Address of the hub, e.g. https://hub.example.org; or set RADCOMMONS_HUB.",
)


OrNone = typer.Option(
    None, "--hub", envvar="RADCOMMONS_HUB", help="Address of the hub, unless the generator's name begins with it."
)
Named = typer.Argument(
    metavar="GENERATOR", help="ORG/NAME[@REVISION] of the hub, or hub://HOST/ORG/NAME[@REVISION], or hf://ORG/NAME."
)


@app.command("push")
def push(
    package: Path = typer.Argument(help="A package, from 'radcommons package'."),
    generator: str = typer.Argument(metavar="ORG/NAME", help="Name under which it is published."),
    hub: str = Host,
    wait: bool = typer.Option(True, "--wait/--no-wait", help="Wait for the gate's verdict."),
    as_json: bool = AsJson,
) -> None:
    """Deposit a package; exit 3 with the reasons if the gate refuses it. The token is in RADCOMMONS_HUB_TOKEN."""
    from dataclasses import asdict

    from radcommons.cli.output import bar
    from radcommons.packages.hub_client import Hub

    done = Hub(hub).push(package, generator, wait=wait, track=bar)
    words = f"published as revision {done.revision}" if done.revision else done.state
    show({"generator": generator, **asdict(done)}, f"{generator}: {words}", as_json)


@app.command("search")
def search(
    words: str = typer.Argument("", help="Part of a name; nothing for all."),
    hub: str = Host,
    finding: list[str] = typer.Option([], "--finding", help="A finding that it must know; may be repeated."),
    sort: Literal["createdAt", "downloads", "fid", "coverage", "recall"] = typer.Option(
        "createdAt", "--sort", help="What comes first: the newest, the most fetched, or the best by a measure."
    ),
    limit: int = typer.Option(50, "-n", "--number", min=1, max=1000, help="Generators at most."),
    as_json: bool = AsJson,
) -> None:
    """List generators of a hub."""
    from radcommons.packages.hub_client import Hub, printable

    found = Hub(hub).search(words, findings=tuple(finding), limit=limit, sort=sort)
    lines = [printable(f"{one['id']}  {_words(one)}") for one in found]
    show({"hub": hub, "generators": found}, "\n".join(lines) or "no generator matches", as_json)


@app.command("show")
def show_generator(
    generator: str = Named,
    hub: str | None = OrNone,
    as_json: bool = AsJson,
) -> None:
    """Show what a hub knows of a generator."""
    from radcommons.packages.hub_client import Hub, printable
    from radcommons.packages.references import parse

    asked = parse(generator, hub)
    found = Hub(asked.address).show(asked.generator, asked.revision)
    about = found["radcommons"]
    lines = (
        f"{found['id']}@{found['sha']}",
        _words(found),
        f"privacy {about['privacy']}: {about['privacy_statement']}",
        f"quality {about['quality']}: {about['quality_statement']}",
        f"key {about['key_fingerprint']}",
    )
    show(found, "\n".join(map(printable, lines)), as_json)


@app.command("pull")
def pull(
    generator: str = Named,
    out: Path = typer.Option(..., "--out", help="Folder of the package; the same command continues."),
    hub: str | None = OrNone,
    key: Path | None = typer.Option(
        None,
        "--key",
        help="The site's public key, trusted from now on; default: one that is trusted already, at first the hub's.",
    ),
    as_json: bool = AsJson,
) -> None:
    """Fetch a package and check every file and its signature."""
    from radcommons.cli.output import bar
    from radcommons.packages.hub_client import Hub
    from radcommons.packages.references import parse

    asked = parse(generator, hub)
    package = Hub(asked.address).pull(asked.generator, out, revision=asked.revision, public_key=key, track=bar)
    show(
        {"out": str(out), "generator": asked.generator, "weights_sha256": package.config.weights_sha256},
        f"{out}: {asked.generator}, whole and signed"
        + ("" if key else "; by a key that the hub named: compare it with what the site published"),
        as_json,
    )


@app.command("mirror")
def mirror(
    out: Path = typer.Option(..., "--out", help="Folder to carry to a machine without a network."),
    hub: str = Host,
    finding: list[str] = typer.Option([], "--finding", help="A finding that a generator must know; may be repeated."),
    as_json: bool = AsJson,
) -> None:
    """Fetch every generator of a hub; elsewhere, RADCOMMONS_HOME=FOLDER lets hub://... work without a network."""
    import os

    from radcommons.cli.output import bar
    from radcommons.packages.references import fetch_all
    from radcommons.packages.trusted_keys import VARIABLE

    os.environ[VARIABLE] = str(out)
    found = fetch_all(hub, finding, bar)
    lines = [*found, f"{out}: {len(found)} generators; on the other machine set {VARIABLE} to this folder"]
    show(
        {"out": str(out), "generators": {name: str(place) for name, place in found.items()}}, "\n".join(lines), as_json
    )


app.command("verify", epilog=package_commands.VERIFY_EPILOG)(package_commands.verify)


@app.command("withdraw")
def withdraw(
    generator: str = typer.Argument(metavar="ORG/NAME", help="A generator of your organisation."),
    reason: str = typer.Option(..., "--reason", help="Why; everybody can read it."),
    hub: str = Host,
    as_json: bool = AsJson,
) -> None:
    """Take a generator away at once, for good; its name stays, with the reason."""
    from radcommons.packages.hub_client import Hub

    Hub(hub).withdraw(generator, reason)
    show({"generator": generator, "withdrawn": True, "reason": reason}, f"{generator}: withdrawn", as_json)


def _words(found: dict[str, Any]) -> str:
    about = found["radcommons"]
    fid = "-" if about["fid"] is None else f"{about['fid']['value']:.1f}"
    return f"privacy {about['privacy']}, quality {about['quality']}, FID {fid}, {', '.join(found['tags'][:12])}"
