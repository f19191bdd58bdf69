//! A journal with people in it, and runs over it.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use cku_base::Timestamp;
use cku_journal::{Draft, Journal, Kind, Options};
use cku_runs::Projections;
use serde_json::{Value, json};

use crate::environment::{Ran, TestEnvironment, repository};

/// A folder with a journal, an issuer's key, and a workspace.
pub(crate) struct Installation {
    pub(crate) environment: TestEnvironment,
}

impl Installation {
    /// Without tokens: a single user.
    pub(crate) fn local() -> Self {
        let environment = TestEnvironment::new();
        std::fs::create_dir(environment.path().join("work")).unwrap();
        Self { environment }
    }

    /// With tokens: dana administers the root, rhea and sam review in acme/payments.
    pub(crate) fn of_people() -> Self {
        let installation = Self::local();
        let init = installation.cku(&[
            "init",
            "--issuer",
            "https://id.acme.example",
            "--admin",
            "dana@acme.example",
        ]);
        assert_eq!(init.code, 0, "{}", init.shown());
        let dana = installation.token("dana@acme.example", "/", "user");
        for reviewer in ["rhea@acme.example", "sam@acme.example"] {
            let granted = installation.cku(&[
                "role",
                "grant",
                "reviewer",
                reviewer,
                "--home",
                "acme",
                "--tenant",
                "acme/payments",
                "--token",
                &dana,
            ]);
            assert_eq!(granted.code, 0, "{}", granted.shown());
        }
        installation
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.environment.path().join(name)
    }

    /// A token of an hour.
    pub(crate) fn token(&self, sub: &str, tenant: &str, kind: &str) -> String {
        let token = self.cku(&["auth", "token", "--sub", sub, "--tenant", tenant, "--kind", kind]);
        assert_eq!(token.code, 0, "{}", token.shown());
        token.stdout.trim_end().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cku"));
        command.args(args).current_dir(self.environment.path()).env_clear();
        command.env("CKU_JOURNAL", self.path("journal.db")).env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Runs cku over the journal.
    pub(crate) fn cku(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Starts cku over the journal.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Writes a plan for `dev` with these steps.
    pub(crate) fn plan(&self, steps: &str) {
        self.environment.write("plan.yaml", format!("intent: Try something out\nmode: dev\ntenant: acme/payments\nchange: {{files: [a.txt], boundary: ['**']}}\nsteps:\n{steps}"));
    }

    /// What `cku run` is given for it; with evidence that passes in `dev`.
    pub(crate) fn run_arguments(&self) -> Vec<String> {
        let evidence = repository().join("testdata/evidence/humanize").display().to_string();
        ["run", "plan.yaml", "--workspace", "work", "--evidence", &evidence].map(str::to_owned).into()
    }

    /// Carries out the plan.
    pub(crate) fn run(&self, more: &[&str]) -> Ran {
        let arguments = self.run_arguments();
        let all: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.cku(&all)
    }

    /// Starts to carry out the plan.
    pub(crate) fn start_run(&self) -> Child {
        let arguments = self.run_arguments();
        self.start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The latest run.
    pub(crate) fn latest(&self) -> String {
        let list = self.cku(&["runs", "list", "--format", "json"]).json();
        list.as_array().unwrap().last().unwrap()["run"].as_str().unwrap().to_owned()
    }

    /// A run as it is shown to programs.
    pub(crate) fn show(&self, run: &str) -> Value {
        self.cku(&["runs", "show", run, "--format", "json"]).json()
    }

    /// The entries about a run: kind and body.
    pub(crate) fn entries(&self, run: &str) -> Vec<(String, Value)> {
        let shown = self.cku(&["journal", "show", "--subject", &format!("run:{run}"), "--format", "json"]);
        let entry = |line: &str| {
            let entry: Value = serde_json::from_str(line).unwrap();
            (entry["header"]["kind"].as_str().unwrap().to_owned(), entry["body"].clone())
        };
        shown.stdout.lines().map(entry).collect()
    }

    pub(crate) fn is_intact(&self) -> bool {
        self.cku(&["journal", "verify"]).code == 0
    }

    pub(crate) fn work(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path("work").join(name)).ok()
    }

    /// Waits until a step has written a file.
    pub(crate) fn wait_for(&self, name: &str) {
        while self.work(name).is_none() {
            std::thread::yield_now();
        }
    }
}

/// What a run shows, with all that differs each time replaced.
pub(crate) fn stable(ran: &Ran, installation: &Installation) -> String {
    let shown = ran.shown().replace(&installation.environment.path().display().to_string(), "FOLDER");
    let mut text = String::new();
    for word in shown.split_inclusive([' ', '\n', '`']) {
        let end = word.trim_end_matches([' ', '\n', '`', ',', ')', '.', ';']);
        let rest = &word[end.len()..];
        let replaced = match end {
            _ if end.starts_with("run-01") => "RUN",
            _ if end.starts_with("sha256:") => "DIGEST",
            _ if end.len() >= 20 && end.starts_with("20") && end.ends_with('Z') => "TIME",
            _ if end.parse::<f32>().is_ok()
                && end.contains('.')
                && rest.starts_with(' ')
                && end.len() == 3 =>
            {
                "N"
            }
            other => other,
        };
        text.push_str(replaced);
        text.push_str(rest);
    }
    text
}

/// A step that writes a note.
pub(crate) const PLAN: &str = "- {id: note, skill: file, with: {op: write, path: note.txt, text: noted}, targets: ['service:acme/payments/api']}\n";

/// An installation with a run of dana's in staging that waits for an approval.
pub(crate) fn waiting() -> (Installation, String) {
    let installation = Installation::of_people();
    installation.plan(PLAN);
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.run(&["--mode", "staging", "--token", &ci]);
    assert_eq!(ran.code, 4, "{}", ran.shown());
    let run = installation.latest();
    (installation, run)
}

impl Installation {
    /// Opens its journal here, in the process of the test.
    pub(crate) fn opened(&self) -> Journal {
        let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let options =
            Options { clock: Arc::new(move || noon), projector: Arc::new(Projections), ..Options::default() };
        Journal::open(&self.path("journal.db"), options).unwrap()
    }
}

/// Entries of acme/payments that change nothing.
pub(crate) fn drills(count: usize) -> cku_journal::Command {
    let Value::Object(body) =
        json!({"actor": "cku", "subject": "killswitch", "on": false, "reason": "drill"})
    else {
        unreachable!()
    };
    let draft = Draft { tenant: "acme/payments".parse().unwrap(), kind: Kind::KillSwitchSet, body };
    cku_journal::Command { drafts: vec![draft; count], ..Default::default() }
}
