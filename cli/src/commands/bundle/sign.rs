//! `cku bundle sign`: a signature as OPA specifies it.

use std::path::PathBuf;

use cku_changes::archive::BundleKey;

use super::source;
use crate::{commands::auth::keys, exit::Exit, journal, output};

/// Sign an archive.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The private key in PEM: Ed25519, as `cku auth keygen` makes it, P-256 or RSA.
    #[arg(long, value_name = "KEYFILE")]
    key: PathBuf,

    /// Where it is written; without it, over the archive.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What the signature is for; whoever verifies it names the same.
    #[arg(long, value_name = "SCOPE", default_value = "")]
    scope: String,

    /// Keep the signatures of other keys; OPA takes only archives with one.
    #[arg(long)]
    add: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let mut archive = source::archive(&args.file)?;
    let pem = keys::load_pem(&args.key)?;
    let refuse = |error| journal::refuse(&format!("`{}`: {error}", args.key.display()));
    let key = BundleKey::from_pem(&pem).map_err(refuse)?;
    let now = journal::now().unix_micros().div_euclid(1_000_000);
    archive.sign(&key, &args.scope, now, args.add).map_err(refuse)?;
    let output = args.output.as_ref().unwrap_or(&args.file);
    source::write_archive(output, &archive)?;
    output::json(key.public_key())?;
    output::note(format_args!(
        "{}\n  signed by {} ({}); the line above is its public key\n",
        output.display(),
        key.public_key().id(),
        key.public_key().algorithm().as_str()
    ));
    Ok(Exit::Pass)
}
