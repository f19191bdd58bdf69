//! A journal with recorded runs over the baseline.

use std::{path::Path, sync::Arc};

use cku_authority::{Admin, Chains, Control, Floor, Genesis, found};
use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{Bundle, Sources, Worker};
use cku_gates::{Authentication, Submitter, Verdict, read_submission};
use cku_journal::{Command, Draft, Journal, Kind, Options};
use cku_runs::{Projections, Request, gate, submit};
use serde_json::{Value, json};

/// A folder with a journal, and one who submits.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) journal: Journal,
    chains: Chains,
    by: Submitter,
    time: Timestamp,
    runs: u32,
}

/// The baseline, with these words of its files replaced.
pub(crate) fn baseline(replaced: &[(&str, &str, &str)]) -> Arc<Bundle> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/baseline");
    let bundle = Bundle::load(&folder).unwrap();
    let files = bundle.sources().files().iter().filter(|file| !file.kind.is_test()).map(|file| {
        let mut text = file.text.to_string();
        for (_, old, new) in replaced.iter().filter(|(path, _, _)| *path == file.path) {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        (file.path.clone(), text)
    });
    let files: Vec<(String, String)> = files.collect();
    Arc::new(Bundle::from_sources(Sources::from_files(files)).unwrap())
}

/// The baseline that wants more coverage in `dev`.
pub(crate) fn tightened() -> Arc<Bundle> {
    baseline(&[("gates/quality.gate", "dev  = 60%", "dev  = 80%")])
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let time: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let options =
            Options { clock: Arc::new(move || time), projector: Arc::new(Projections), ..Options::default() };
        let journal = Journal::create(&folder.path().join("journal.db"), options).unwrap();
        let principal =
            Principal { kind: PrincipalKind::User, id: "dana".parse().unwrap(), tenant: TenantPath::root() };
        let bundle = baseline(&[]);
        let genesis = Genesis {
            admin: Admin { issuer: None, principal: principal.clone() },
            authentication: Authentication::Local,
            audience: "cku".to_owned(),
            keys: Vec::new(),
            bundles: [("gates".to_owned(), bundle.revision())].into(),
            control: Control::Files,
            directory: None,
            floor: Floor::default(),
        };
        let by = Submitter { principal, authentication: Authentication::Local, token: None };
        found(&journal, &by, &genesis, &bundle, None).unwrap();
        Self { _folder: folder, journal, chains: Chains::default(), by, time, runs: 0 }
    }

    /// Records the decision over a run with this coverage, in hundredths of a percent, and so many
    /// failed tests; gives the run.
    pub(crate) fn decide(
        &mut self,
        bundle: &Arc<Bundle>,
        tenant: &str,
        hit: u32,
        failed: u32,
    ) -> (String, Verdict) {
        self.runs += 1;
        let id = format!("run-{}", self.runs);
        let (submission, unknown) = read_submission(&submission(&id, hit, failed)).unwrap();
        assert_eq!(unknown, [""; 0]);
        let request = Request {
            id: id.clone(),
            tenant: tenant.parse().unwrap(),
            mode: "dev".to_owned(),
            by: self.by.clone(),
            submission,
            workspace: "/w".to_owned(),
            confined: true,
            time: self.time,
        };
        let run = submit(&self.journal, request).unwrap();
        let mut worker = Worker::new(bundle.clone());
        let gated = gate(&self.journal, &self.chains, &mut worker, run, self.time).unwrap();
        (id, gated.decision.verdict)
    }

    /// Records that rhea, a reviewer, approves the gate `quality` of a run, and the decision after it.
    pub(crate) fn approve(&self, bundle: &Arc<Bundle>, tenant: &str, run: &str) -> Verdict {
        let rhea = json!({"kind": "user", "id": "rhea", "tenant": tenant});
        let grant = json!({"actor": "cku", "subject": "role:rhea",
            "grant": {"principal": rhea, "role": "reviewer", "tenant": tenant}});
        let Value::Object(body) = grant else { unreachable!() };
        let tenant: TenantPath = tenant.parse().unwrap();
        let draft = Draft { tenant: tenant.clone(), kind: Kind::RoleGranted, body };
        self.journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
        let paused = cku_runs::load(&self.journal, &tenant, run).unwrap();
        let approval = json!({
            "approver": rhea, "gate": "quality", "decision": "approve",
            "subject_digest": paused.submitted.subject_digest, "bundle_revision": bundle.revision(),
            "time": self.time, "expires_at": "2026-11-23T12:00:00Z",
        });
        self.note(tenant.as_str(), Kind::ApprovalGiven, run, approval);
        let run = cku_runs::load(&self.journal, &tenant, run).unwrap();
        let mut worker = Worker::new(bundle.clone());
        gate(&self.journal, &self.chains, &mut worker, run, self.time).unwrap().decision.verdict
    }

    /// Records something else about a run.
    pub(crate) fn note(&self, tenant: &str, kind: Kind, run: &str, members: Value) {
        let mut body = json!({"actor": "cku", "subject": format!("run:{run}")});
        let Value::Object(members) = members else { panic!("no members") };
        body.as_object_mut().unwrap().extend(members);
        let Value::Object(body) = body else { unreachable!() };
        let draft = Draft { tenant: tenant.parse().unwrap(), kind, body };
        self.journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
    }

    /// Records that a run ended.
    pub(crate) fn end(&self, tenant: &str, run: &str, outcome: &str) {
        let ended = cku_runs::Ended {
            status: if outcome == "success" { cku_runs::Ending::Succeeded } else { cku_runs::Ending::Failed },
            outcome: serde_json::from_value(json!(outcome)).unwrap(),
            cause: String::new(),
            attempts: 1,
            took_ms: 1,
            waited_ms: 0,
        };
        self.note(tenant, Kind::RunEnded, run, serde_json::to_value(ended).unwrap());
    }
}

fn submission(id: &str, hit: u32, failed: u32) -> Value {
    let text = include_str!("../../../gates/benches/input.json");
    let mut submission = serde_json::from_str::<Value>(text).unwrap()["submission"].take();
    submission["intent"] = json!(format!("Change what {id} changes"));
    for document in submission["evidence"].as_array_mut().unwrap() {
        document.as_object_mut().unwrap().remove("submitted_by");
        match document["kind"].as_str().unwrap() {
            "coverage" => document["data"]["lines"]["hit"] = json!(hit),
            "tests" => {
                let failure = json!({"suite": "s", "name": "n", "message": ""});
                document["data"]["failures"] = Value::from(vec![failure; failed as usize]);
                document["data"]["failed"] = json!(failed);
                document["data"]["passed"] = json!(118 - failed);
            }
            _ => {}
        }
    }
    submission
}
