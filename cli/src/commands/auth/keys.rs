//! Key files.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use cku_auth::{PublicKey, SigningKey, TrustedKey};
use cku_base::{
    PrincipalKind, TenantPath,
    document::{self, Limits},
};

use crate::{exit::Exit, journal, load, output};

/// Makes a key in a file that only its owner can read; a file that is there stays.
pub(crate) fn make(file: &Path) -> Result<SigningKey, Exit> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| journal::failed(&format!("no random bytes: {e}")))?;
    let key = SigningKey::from_seed(&seed);
    let pem = key.to_pem().map_err(|e| journal::failed(&e))?;
    write(file, pem.as_bytes()).map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "; a key is not written over, name another file",
            _ => "",
        };
        output::problem(format_args!("the key cannot be written to `{}`: {error}{advice}", file.display()));
        Exit::Usage
    })?;
    Ok(key)
}

/// Writes a new file for its owner alone, which is on the disk then; half a file is not left behind.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let sync_folder = || fs::File::open(folder).and_then(|folder| folder.sync_all());
    file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_folder()).inspect_err(|_| {
        // It was made here, and half a key would be in the way of the next try.
        let _ = fs::remove_file(path);
    })
}

/// The bytes of a key file that are read at most.
const LARGEST: usize = 64 << 10;

/// Reads a public key, a JWK; nothing of the file is ever shown, since it may be a secret.
pub(crate) fn load_public(file: &Path) -> Result<PublicKey, Exit> {
    let bytes = load::bytes(file, LARGEST)?;
    let refuse = |why: &str| {
        journal::refuse(&format!(
            "`{}` {why}; give the public key as a JWK, which `cku auth keygen` printed",
            file.display()
        ))
    };
    if String::from_utf8_lossy(&bytes).contains("PRIVATE KEY-----") {
        return Err(refuse("is the private key, which stays with whoever signs"));
    }
    let limits = Limits { bytes: LARGEST, depth: 8 };
    let jwk = document::read(&file.display().to_string(), &bytes, limits)
        .map_err(|_| refuse("is no public key: it is neither JSON nor YAML"))?;
    PublicKey::from_jwk(jwk).map_err(|error| refuse(&format!("is no public key: {error}")))
}

/// Reads a key from a file that nobody else can read.
pub(crate) fn load(file: &Path) -> Result<SigningKey, Exit> {
    let bytes = load::bytes(file, LARGEST)?;
    // What is no key is said to be none before anything is advised about it.
    let pem = String::from_utf8(bytes).unwrap_or_default();
    let key = SigningKey::from_pem(&pem)
        .map_err(|error| journal::refuse(&format!("`{}`: {error}", file.display())))?;
    private(file)?;
    Ok(key)
}

/// Reads the text of a key of any kind from a file that nobody else can read.
pub(crate) fn load_pem(file: &Path) -> Result<String, Exit> {
    let pem = String::from_utf8(load::bytes(file, LARGEST)?).unwrap_or_default();
    if pem.contains("PRIVATE KEY-----") {
        private(file)?;
    }
    Ok(pem)
}

/// Refuses a key that others can read.
fn private(file: &Path) -> Result<(), Exit> {
    let others = fs::metadata(file).map(|m| m.permissions().mode() & 0o077).unwrap_or(0);
    if others != 0 {
        return Err(journal::refuse(&format!(
            "others can read the key `{0}`; run `chmod 600 {0}`, and make a new one if they may have",
            file.display()
        )));
    }
    Ok(())
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
