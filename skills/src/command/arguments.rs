//! What a plan says of a command.

use std::{
    collections::BTreeMap,
    env,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::arguments::{ArgumentError, parse_duration, read};

const KNOWN: [&str; 13] = [
    "argv",
    "shell",
    "dir",
    "env",
    "pass_env",
    "stdin",
    "timeout",
    "output_limit",
    "memory",
    "processes",
    "writable",
    "idempotency",
    "expect",
];

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);
const DEFAULT_OUTPUT: u64 = 16 << 20;
/// Less than this and the supervisor itself does not start.
const LEAST_MEMORY: u64 = 256 << 20;

/// What every command is given of cku's environment, where it is set.
const PASSED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TERM",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "SSL_CERT_FILE",
];

#[derive(Debug, Deserialize)]
struct Document {
    argv: Option<Vec<String>>,
    shell: Option<String>,
    dir: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    pass_env: Vec<String>,
    stdin: Option<String>,
    timeout: Option<String>,
    output_limit: Option<u64>,
    memory: Option<u64>,
    processes: Option<u64>,
    #[serde(default)]
    writable: Vec<String>,
    idempotency: Option<String>,
    #[serde(default)]
    expect: Expect,
}

/// What it must come to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    /// Exit codes that are good; 0 where nothing is said.
    pub(super) exit: Vec<i32>,
    /// A text that must be in the end of what it writes.
    pub(super) stdout_contains: Option<String>,
}

/// A command as it is carried out.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) argv: Vec<String>,
    pub(super) dir: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    pub(super) pass_env: Vec<String>,
    pub(super) stdin: Option<String>,
    pub(super) timeout: Duration,
    pub(super) output_limit: u64,
    pub(super) memory: Option<u64>,
    pub(super) processes: Option<u64>,
    pub(super) writable: Vec<String>,
    /// The variable that is given the idempotency key.
    pub(super) idempotency: Option<String>,
    pub(super) expect: Expect,
}

impl Arguments {
    pub(super) fn read(place: &str, members: &Map<String, Value>) -> Result<Self, ArgumentError> {
        let refuse = |what: String| Err(ArgumentError(format!("`{place}.{what}")));
        let document: Document = read(place, members, &KNOWN)?;
        let argv = match (document.argv, document.shell) {
            (Some(argv), None) if argv.first().is_some_and(|program| !program.is_empty()) => argv,
            (None, Some(text)) if !text.trim().is_empty() => ["sh", "-c", &text].map(str::to_owned).into(),
            (Some(_), Some(_)) => {
                return refuse("argv` and `shell` are both there; write one of them".to_owned());
            }
            (Some(_), None) => return refuse("argv` is empty; write a program and its arguments".to_owned()),
            (None, Some(_)) => return refuse("shell` is empty; write what the shell should do".to_owned()),
            (None, None) => {
                return Err(ArgumentError(format!(
                    "`{place}` has no `argv`; write a program and its arguments, or `shell`"
                )));
            }
        };
        if argv.iter().chain(document.env.values()).any(|text| text.contains('\0')) {
            return refuse("argv` or `env` holds a NUL character".to_owned());
        }
        let dir = document.dir.unwrap_or_default();
        if !stays_inside(&dir) {
            return refuse(format!("dir` is `{}`; write a path inside the workspace", dir.display()));
        }
        let names = document.env.keys().chain(&document.pass_env);
        if let Some(name) = names.into_iter().find(|name| !is_variable(name)) {
            return refuse(format!(
                "env` or `pass_env` names `{}`, which is no variable",
                name.escape_debug()
            ));
        }
        let timeout = match document.timeout.as_deref() {
            None => DEFAULT_TIMEOUT,
            Some(text) => match parse_duration(text) {
                Some(span) if !span.is_zero() && span <= LONGEST_TIMEOUT => span,
                _ => return refuse(format!("timeout` is `{text}`; write a span up to 24h, like `10m`")),
            },
        };
        if document.output_limit == Some(0) {
            return refuse("output_limit` is 0; write bytes".to_owned());
        }
        if document.memory.is_some_and(|memory| memory < LEAST_MEMORY) {
            return refuse(format!("memory` is less than {LEAST_MEMORY}; write bytes"));
        }
        if let Some(path) = document.writable.iter().find(|path| expanded(path).is_none()) {
            return refuse(format!(
                "writable` names `{path}`; write an absolute path, or one that begins with `~/`"
            ));
        }
        let idempotency = match document.idempotency {
            None => None,
            Some(text) => {
                match text.strip_prefix("env:").filter(|name| is_variable(name) || *name == "CKU_STEP_KEY") {
                    Some(name) => Some(name.to_owned()),
                    None => return refuse(format!("idempotency` is `{text}`; write `env:` and a variable")),
                }
            }
        };
        Ok(Self {
            argv,
            dir,
            env: document.env,
            pass_env: document.pass_env,
            stdin: document.stdin,
            timeout,
            output_limit: document.output_limit.unwrap_or(DEFAULT_OUTPUT),
            memory: document.memory,
            processes: document.processes,
            writable: document.writable,
            idempotency,
            expect: document.expect,
        })
    }

    /// What the command is given: what is passed, what the step says, and who it is.
    pub(super) fn environment(&self, own: &[(&str, String)]) -> Vec<(String, String)> {
        let passed = PASSED.iter().copied().chain(self.pass_env.iter().map(String::as_str));
        let passed = passed.filter_map(|name| Some((name.to_owned(), env::var(name).ok()?)));
        let said = self.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        passed.chain(said).chain(own).collect::<BTreeMap<_, _>>().into_iter().collect()
    }
}

/// A path that cannot lead out by its names; links are for Landlock.
fn stays_inside(path: &Path) -> bool {
    path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !name.starts_with("CKU_")
}

/// A path as it is meant; `~/` is the home of whoever runs cku.
pub(super) fn expanded(path: &str) -> Option<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => env::home_dir().map(|home| home.join(rest)),
        None => Some(PathBuf::from(path)).filter(|path| path.is_absolute()),
    }
}
