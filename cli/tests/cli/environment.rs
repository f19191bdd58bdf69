//! A folder of its own for each test, and the binary run in it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A folder of its own, gone with the test.
pub(crate) struct TestEnvironment {
    folder: tempfile::TempDir,
}

/// What a run of the binary gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The three together, for snapshots.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}exit {}\n", section("", &self.stdout), section("stderr:\n", &self.stderr), self.code)
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

fn section(heading: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{heading}{text}") }
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let full = self.path().join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(&full, bytes).unwrap();
        full
    }

    /// Runs the binary in it.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run_in(self.path(), args)
    }
}

/// Runs the binary at the top of the repository.
pub(crate) fn run(args: &[&str]) -> Ran {
    run_in(&repository(), args)
}

/// Runs the binary at the top of the repository with its standard output going elsewhere.
pub(crate) fn run_into(stdout: Stdio, args: &[&str]) -> Ran {
    run_with(&repository(), args, stdout)
}

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn run_in(folder: &Path, args: &[&str]) -> Ran {
    run_with(folder, args, Stdio::piped())
}

fn run_with(folder: &Path, args: &[&str], stdout: Stdio) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cku"));
    let output = command.args(args).current_dir(folder).env_clear().stdout(stdout).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
