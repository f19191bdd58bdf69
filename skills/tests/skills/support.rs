//! A workspace of its own for each test.

use std::path::{Path, PathBuf};

use cku_skills::{Act, Cancel, Launcher, Report, Stream, Tried, Workspace, find};
use serde_json::{Map, Value};

pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) workspace: Workspace,
    pub(crate) cancel: Cancel,
}

pub(crate) fn members(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value} is no object") };
    members
}

/// The program that supervises: an example that is built beside the tests.
pub(crate) fn launcher() -> Launcher {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/supervise");
    assert!(program.exists(), "{} is built by `cargo test -p cku-skills`", program.display());
    Launcher { program, arguments: Vec::new(), unconfined: false }
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let workspace = Workspace::open(&folder.path().join("work"), &folder.path().join("backups")).unwrap();
        Self { folder, workspace, cancel: Cancel::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.workspace.root().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    pub(crate) fn outside(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&self, skill: &str, with: Value) -> Report {
        self.act(skill, with, "run-1/step/1", false)
    }

    /// Tries, or undoes a try that nobody knows more of than that it failed.
    pub(crate) fn act(&self, skill: &str, with: Value, key: &str, undo: bool) -> Report {
        self.act_with(&launcher(), skill, with, key, undo.then_some(Tried::Failed))
    }

    /// Undoes a try that ended so.
    pub(crate) fn undo(&self, skill: &str, with: Value, key: &str, tried: Tried) -> Report {
        self.act_with(&launcher(), skill, with, key, Some(tried))
    }

    pub(crate) fn act_with(
        &self,
        launcher: &Launcher,
        skill: &str,
        with: Value,
        key: &str,
        undoes: Option<Tried>,
    ) -> Report {
        let skill = find(skill).unwrap();
        let with = members(with);
        let mut output = |_: Stream, _: &[u8]| {};
        let act = Act {
            run: "run-1",
            step: "step",
            attempt: 1,
            key,
            with: &with,
            undoes,
            workspace: &self.workspace,
            cancel: &self.cancel,
            launcher,
            output: &mut output,
        };
        if undoes.is_some() { skill.undo(act) } else { skill.run(act) }
    }
}

/// What a report says of a failure: class and message.
pub(crate) fn failure(report: &Report) -> String {
    match &report.failure {
        Some(failure) => format!("{}: {}", failure.class.as_str(), failure.message),
        None => "succeeded".to_owned(),
    }
}
