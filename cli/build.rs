//! Puts the baseline and the bundle of change control into the binary, so that it decides without any files around it.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let manifest =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("no manifest"))?);
    for name in ["baseline", "change-control"] {
        put_in(&manifest.join("../policies").join(name).canonicalize()?, name)?;
    }
    Ok(())
}

/// Writes the files of a bundle as an expression of Rust.
fn put_in(bundle: &Path, name: &str) -> io::Result<()> {
    let mut files = Vec::new();
    list(bundle, bundle, &mut files)?;
    files.sort();
    let mut code = String::from("&[\n");
    for (relative, full) in files {
        writeln!(code, "    ({relative:?}, include_str!({full:?})),").map_err(io::Error::other)?;
    }
    code.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no folder for output"))?);
    fs::write(out.join(format!("{name}.rs")), code)?;
    println!("cargo::rerun-if-changed={}", bundle.display());
    Ok(())
}

fn list(top: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", dir.display());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(top, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(top) {
            files.push((relative.display().to_string(), path));
        }
    }
    Ok(())
}
