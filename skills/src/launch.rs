//! How commands are started: beside a supervisor of their own, confined to the workspace.
//!
//! cku starts a *supervisor* for each try, which is cku itself with a hidden subcommand. The supervisor
//! takes in whatever its command leaves behind (it is the subreaper of all its descendants), so that
//! nothing gets away, whatever it forks and whatever it calls itself; and it ends everything when its
//! standard input ends, which it does when cku asks for it or is gone.
//!
//! The command is confined with Landlock: it can write in the workspace, in a folder for temporary
//! files and where the step says, and signal nobody outside. Landlock guards what files hold and where
//! they are, and nothing else of them: permissions, owners, times and attributes can be changed elsewhere.
//! Calls that reach other processes in spite of it are refused with seccomp (see `calls`), and it has no
//! terminal.

use std::{
    ffi::OsString,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use serde::{Deserialize, Serialize};

use crate::calls;

/// How the supervisor is started.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// A program that calls [`supervise`](crate::supervise).
    pub program: PathBuf,
    /// What makes it do so.
    pub arguments: Vec<OsString>,
    /// Whether commands may write anywhere: the choice of whoever runs cku, where the kernel cannot
    /// confine them.
    pub unconfined: bool,
}

/// What a supervisor is told, as one line of JSON on its standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) argv: Vec<String>,
    pub(crate) dir: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdin: Option<String>,
    pub(crate) memory: Option<u64>,
    pub(crate) processes: Option<u64>,
    /// Where it may write; none for anywhere.
    pub(crate) writable: Option<Vec<PathBuf>>,
    /// Where the supervisor writes what came of it.
    pub(crate) status: PathBuf,
}

/// What came of a command, as its supervisor saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Why it was not started.
    pub(crate) not_started: Option<NotStarted>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// Processes that were there after it had ended.
    pub(crate) left_behind: usize,
    /// Whether processes could not be looked at, so that some may be left.
    pub(crate) blind: bool,
}

/// Why a command was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotStarted {
    pub(crate) message: String,
    /// The error number of the operating system, if it was that.
    pub(crate) errno: Option<i32>,
}

/// Devices that harmless programs write to.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/random", "/dev/urandom"];

/// Landlock with what is needed to keep writes inside: truncation came with Linux 6.2.
const NEEDED: ABI = ABI::V3;

/// Confines the calling thread, and all processes that it starts, to write below these paths.
pub(crate) fn confine(writable: &[PathBuf]) -> Result<(), NotStarted> {
    let refused = |error: String| NotStarted {
        message: format!(
            "commands cannot be confined here: {error}; it takes Linux 6.2 with Landlock, or `--unconfined`"
        ),
        errno: None,
    };
    let of_landlock = |error: &dyn std::error::Error| refused(error.to_string());
    let writes = AccessFs::from_write(NEEDED);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(writes)
        .and_then(|r| {
            // Kernels from 6.12 also keep it from signalling others.
            r.set_compatibility(CompatLevel::BestEffort).scope(Scope::Signal | Scope::AbstractUnixSocket)
        })
        .and_then(|r| r.set_compatibility(CompatLevel::HardRequirement).create())
        .map_err(|e| of_landlock(&e))?;
    let mut rules = Vec::new();
    for path in writable {
        rules.push(rule(path).map_err(|e| refused(format!("`{}`: {e}", path.display())))?);
    }
    let status = ruleset
        .add_rules(path_beneath_rules(DEVICES, writes))
        .and_then(|r| r.add_rules(rules.into_iter().map(Ok::<_, RulesetError>)))
        .and_then(|r| r.set_compatibility(CompatLevel::HardRequirement).restrict_self())
        .map_err(|e| of_landlock(&e))?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(refused("the kernel has no Landlock".to_owned())),
        _ if !status.no_new_privs => Err(refused("new privileges are possible".to_owned())),
        _ => calls::restrict().map_err(refused),
    }
}

/// What may be written at a path, which is a real name: no link stands for it, also since it was looked at.
fn rule(path: &Path) -> io::Result<PathBeneath<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let is_dir = FileType::from_raw_mode(fstat(&opened)?.st_mode) == FileType::Directory;
    let writes = AccessFs::from_write(NEEDED);
    let access = if is_dir { writes } else { writes & AccessFs::from_file(NEEDED) };
    Ok(PathBeneath::new(opened, access))
}

/// Whether commands can be confined here: asked in a thread of its own, which ends with the answer.
pub fn can_confine() -> Result<(), String> {
    let asked = std::thread::spawn(|| confine(&[])).join();
    asked
        .unwrap_or_else(|_| Err(NotStarted { message: "asking panicked".to_owned(), errno: None }))
        .map_err(|e| e.message)
}

impl Status {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
    }
}
