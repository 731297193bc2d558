"""``radcommons package``, ``verify`` and ``keys``: what leaves the hospital, signed, and its check."""

from pathlib import Path

import typer

from radcommons.cli.output import AsJson, bar, show

EPILOG = """
radcommons keys new --out keys

radcommons package runs/site-a --audit audits/site-a --out packages/site-a --key keys/private.pem \\
--license cc-by-nc-4.0 --license-file LICENSE --contact radiology@example.org
"""
VERIFY_EPILOG = """
radcommons verify packages/site-a --key site-a-public.pem
"""
KEYS_EPILOG = """
radcommons keys new --out keys
"""

keys = typer.Typer(help="Keys that sign packages.", no_args_is_help=True)


def package(
    run: Path = typer.Argument(help="A run of 'radcommons train', or the folder of its generator."),
    audit: Path = typer.Option(..., "--audit", help="Folder of the generator's audit."),
    out: Path = typer.Option(..., "--out", help="Folder of the package; it must be new or empty."),
    key: Path = typer.Option(..., "--key", help="Private key that signs, from 'radcommons keys new'."),
    license: str = typer.Option(
        ...,
        "--license",
        metavar="NAME",
        help="License of the generator as Hugging Face names it, e.g. cc-by-nc-4.0, other.",
    ),
    license_file: Path = typer.Option(..., "--license-file", help="Text of the license."),
    contact: str = typer.Option(..., "--contact", help="Whom to write to about the generator."),
    name: str | None = typer.Option(None, "--name", help="Name on the card; default: that of the generator."),
    intended_use: str | None = typer.Option(
        None, "--intended-use", help="What it is for; default: research and teaching."
    ),
    explanation: Path | None = typer.Option(
        None, "--explain", help="A folder of 'radcommons explain': its pictures and numbers go along."
    ),
    study: Path | None = typer.Option(
        None, "--study", help="study.json of 'radcommons study analyse': what it says of groups of readers goes along."
    ),
    patients: bool = typer.Option(
        False, "--patients", help="Put the list of training patients into the package; see docs/privacy.md first."
    ),
    allow_failed: bool = typer.Option(
        False, "--allow-failed", help="Write a package although the audit's policy is not met; the card says so."
    ),
    policy: Path | None = typer.Option(None, "--policy", help="A TOML file of rules instead of the shipped ones."),
    as_json: bool = AsJson,
) -> None:
    """Write what leaves the hospital: generator, card, audit, pictures and signature; exit 3 if the audit failed."""
    from radcommons.models.generator import Generator
    from radcommons.packages.card import INTENDED_USE, CardWords
    from radcommons.packages.contents import names_in
    from radcommons.packing import Contents, shipped_rules, write_package
    from radcommons.policy.settings import Policy

    words = CardWords(
        name=name or Generator.load(run, device="cpu").name,
        license=license,
        contact=contact,
        intended_use=intended_use or INTENDED_USE,
    )
    contents = Contents(words, license_file, explanation, study, patients=patients, allow_failed=allow_failed)
    rules = Policy.load(policy) if policy else shipped_rules()
    made = write_package(run, audit, out, contents, private_key=key, rules=rules, track=bar)
    judged, files = made.audit.judgement, names_in(out)
    show(
        {
            "out": str(out),
            "name": words.name,
            "weights_sha256": made.config.weights_sha256,
            "privacy": judged.privacy,
            "quality": judged.quality,
            "broken": list(judged.broken),
            "patients": made.patients is not None,
            "study": made.study is not None,
            "files": files,
        },
        f"{out}: {len(files)} files, signed; privacy {judged.privacy}, quality {judged.quality}\n"
        f"read {out / 'README.md'} before you share it; check it with: radcommons verify {out} --key PUBLIC-KEY",
        as_json,
    )


def verify(
    folder: Path = typer.Argument(metavar="PACKAGE", help="A generator package."),
    key: Path = typer.Option(..., "--key", help="Public key of the site that is supposed to have signed it."),
    policy: Path | None = typer.Option(
        None, "--policy", help="A TOML file of rules that judge the site's audit, instead of the shipped ones."
    ),
    as_json: bool = AsJson,
) -> None:
    """Check a package: its signature, that it holds nothing else, and that its records are about its weights."""
    from radcommons.packages.card import one_line
    from radcommons.packages.contents import open_package
    from radcommons.packages.signatures import fingerprint
    from radcommons.packages.signatures import verify as verify_signature
    from radcommons.packing import shipped_rules
    from radcommons.policy.judge import judge
    from radcommons.policy.settings import Policy

    verify_signature(folder, key)
    package = open_package(folder)
    signer, name, side = fingerprint(key), one_line(package.config.name), package.config.resolution
    judged = judge(package.audit, Policy.load(policy) if policy else shipped_rules())
    broken = f"\nnot met: {', '.join(judged.broken)}" if judged.broken else ""
    show(
        {
            "package": str(folder),
            "name": name,
            "weights_sha256": package.config.weights_sha256,
            "key_fingerprint": signer,
            "privacy": judged.privacy,
            "quality": judged.quality,
            "broken": list(judged.broken),
        },
        f"{folder}: signed by the owner of {key} (fingerprint {signer[:16]}), whole and unchanged\n"
        f"{name}: {side} x {side} pixels, {len(package.findings.findings)} findings\n"
        f"the site's audit, judged here: privacy {judged.privacy}, quality {judged.quality}{broken}",
        as_json,
    )


@keys.command("new", epilog=KEYS_EPILOG)
def new(
    out: Path = typer.Option(..., "--out", help="Folder of the two keys; it must be new or empty."),
    as_json: bool = AsJson,
) -> None:
    """Make a pair of keys: the private one signs packages and stays with you, the public one checks them."""
    from radcommons.packages.signatures import PRIVATE, PUBLIC, new_keys

    fingerprint = new_keys(out)
    show(
        {"private": str(out / PRIVATE), "public": str(out / PUBLIC), "fingerprint": fingerprint},
        f"{out / PRIVATE}: keep it secret and safe; who has it can sign in your name\n"
        f"{out / PUBLIC}: give it to everybody; fingerprint {fingerprint[:16]}",
        as_json,
    )
