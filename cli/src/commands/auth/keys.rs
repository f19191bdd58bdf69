//! Key files.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use cku_auth::{SigningKey, TrustedKey};
use cku_base::{PrincipalKind, TenantPath};

use crate::{exit::Exit, journal, load, output};

/// Makes a key in a file that only its owner can read; a file that is there stays.
pub(crate) fn make(file: &Path) -> Result<SigningKey, Exit> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| journal::failed(&format!("no random bytes: {e}")))?;
    let key = SigningKey::from_seed(&seed);
    let pem = key.to_pem().map_err(|e| journal::failed(&e))?;
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = open.and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "; a key is not written over, name another file",
            _ => "",
        };
        output::problem(format_args!("the key cannot be written to `{}`: {error}{advice}", file.display()));
        Exit::Usage
    })?;
    Ok(key)
}

/// Reads a key from a file that nobody else can read.
pub(crate) fn load(file: &Path) -> Result<SigningKey, Exit> {
    let bytes = load::bytes(file, 64 << 10)?;
    let others = fs::metadata(file).map(|m| m.permissions().mode() & 0o077).unwrap_or(0);
    if others != 0 {
        return Err(journal::refuse(&format!(
            "others can read the key `{0}`; run `chmod 600 {0}`, and make a new one if they may have",
            file.display()
        )));
    }
    let pem = String::from_utf8(bytes).unwrap_or_default();
    SigningKey::from_pem(&pem).map_err(|e| journal::refuse(&format!("`{}`: {e}", file.display())))
}

/// Reads the key in a file, or makes one; whether it was made.
pub(crate) fn load_or_make(file: &Path) -> Result<(SigningKey, bool), Exit> {
    if file.exists() { load(file).map(|key| (key, false)) } else { make(file).map(|key| (key, true)) }
}

/// An installation's own key: it speaks for everybody in a tenant and below.
pub(crate) fn trusted(key: &SigningKey, issuer: &str, tenant: &TenantPath) -> TrustedKey {
    let kinds = [PrincipalKind::User, PrincipalKind::ServiceAccount, PrincipalKind::Agent];
    TrustedKey::new(key.public_key(), issuer, tenant.clone(), kinds)
}
