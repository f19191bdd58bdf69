//! A journal in which changes are proposed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cku_authority::{
    Admin, AuthorityRows, Chains, Control, Floor, Genesis, Modes, Purpose, Stage, active_for, found,
    load_bundle,
};
use cku_base::{Digest, Principal, PrincipalKind, TenantPath, Timestamp};
use cku_changes::{
    diff::{self, ActError, Activated, CheckOptions, Diff, DiffRows, Proposal, ProposeError},
    replay,
};
use cku_engine::{Bundle, Sources, Worker};
use cku_gates::{ApprovalDecision, Authentication, Submitter, TokenClaims};
use cku_journal::{Command, Draft, Journal, Kind, Options, Together};
use serde_json::{Value, json};

/// A folder with a journal: dana and ada are admin, rhea reviews, sam is of security, otto operates.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) journal: Journal,
    pub(crate) chains: Chains,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A bundle of this repository, with these words of its files replaced.
pub(crate) fn bundle(name: &str, replaced: &[(&str, &str, &str)], tests: bool) -> Arc<Bundle> {
    let bundle = Bundle::load(&repository().join("policies").join(name)).unwrap();
    let files = bundle.sources().files().iter().filter(|file| tests || !file.kind.is_test()).map(|file| {
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

/// The smallest example, owned by somebody: each owner makes another revision, and nothing else differs.
pub(crate) fn owned(owner: &str) -> Arc<Bundle> {
    let owners = format!("name: minimal\nowners: [{owner}]\n");
    bundle("examples/minimal", &[("bundle.yaml", "name: minimal\n", &owners)], true)
}

/// Change control without a solver: what nobody proves would be rejected, and here it is let through.
pub(crate) fn change_control() -> Arc<Bundle> {
    let unproved = ("gates/invariants.gate", "unproved > 0", "unproved > 1000");
    bundle("change-control", &[unproved], false)
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn later(hours: u64) -> Timestamp {
    noon().after(std::time::Duration::from_secs(hours * 3_600)).unwrap()
}

pub(crate) fn principal(kind: PrincipalKind, id: &str) -> Principal {
    Principal { kind, id: id.parse().unwrap(), tenant: TenantPath::root() }
}

/// Somebody with a token.
pub(crate) fn person(id: &str) -> Submitter {
    with_token(principal(PrincipalKind::User, id))
}

pub(crate) fn with_token(principal: Principal) -> Submitter {
    let token = TokenClaims {
        valid: true,
        issuer: "https://id.acme.example".to_owned(),
        issued_at: noon(),
        expires_at: later(1_000),
        key: Some("the-key-of-the-genesis".to_owned()),
    };
    Submitter { principal, authentication: Authentication::Token, token: Some(token) }
}

pub(crate) fn options() -> Options {
    let parts: Vec<Box<dyn cku_journal::Projector>> = vec![Box::new(AuthorityRows), Box::new(DiffRows)];
    let projector = Arc::new(Together::new(parts, &cku_authority::TABLES));
    Options { clock: Arc::new(noon), projector, ..Options::default() }
}

/// Makes the file of such a journal.
pub(crate) fn make(path: &Path, control: Control, change_control: &Bundle) -> Journal {
    make_with(path, control, (&bundle("examples/minimal", &[], true), change_control))
}

/// The same with another bundle over runs.
fn make_with(path: &Path, control: Control, (bundle, change_control): (&Bundle, &Bundle)) -> Journal {
    let journal = Journal::create(path, options()).unwrap();
    let genesis = Genesis {
        admin: Admin { issuer: None, principal: principal(PrincipalKind::User, "dana") },
        authentication: Authentication::Token,
        audience: "cku".to_owned(),
        keys: Vec::new(),
        bundles: [("gates".to_owned(), bundle.revision())].into(),
        control,
        directory: None,
        floor: Floor::default(),
    };
    found(&journal, &person("dana"), &genesis, bundle, Some(change_control)).unwrap();
    for (who, role) in [("rhea", "reviewer"), ("sam", "security"), ("otto", "operator"), ("ada", "admin")] {
        grant(&journal, &principal(PrincipalKind::User, who), role);
    }
    journal
}

pub(crate) fn grant(journal: &Journal, who: &Principal, role: &str) {
    let grant = json!({"principal": who, "role": role, "tenant": "/"});
    note(journal, Kind::RoleGranted, &format!("role:{who}"), json!({"grant": grant}));
}

/// Writes an entry past all that the product asks.
pub(crate) fn note(journal: &Journal, kind: Kind, subject: &str, members: Value) {
    let mut body = json!({"actor": "cku", "subject": subject});
    let Value::Object(members) = members else { panic!("no members") };
    body.as_object_mut().unwrap().extend(members);
    let Value::Object(body) = body else { unreachable!() };
    let draft = Draft { tenant: TenantPath::root(), kind, body };
    journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::of(Control::Managed, &change_control())
    }

    pub(crate) fn of(control: Control, change_control: &Bundle) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = make(&folder.path().join("journal.db"), control, change_control);
        Self { _folder: folder, journal, chains: Chains::default() }
    }

    /// One in which this bundle decides over runs.
    pub(crate) fn over(bundle: &Bundle, change_control: &Bundle) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = make_with(&path, Control::Managed, (bundle, change_control));
        Self { _folder: folder, journal, chains: Chains::default() }
    }

    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor { journal: &self.journal, chains: &self.chains, now: noon() }
    }
}

/// Everything that is done to diffs, over a journal.
#[derive(Clone, Copy)]
pub(crate) struct Actor<'p> {
    pub(crate) journal: &'p Journal,
    pub(crate) chains: &'p Chains,
    pub(crate) now: Timestamp,
}

impl Actor<'_> {
    /// The same at another time.
    pub(crate) fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    fn worker(&self) -> Worker {
        let active = active_for(self.journal, Purpose::ChangeControl).unwrap().unwrap();
        Worker::new(load_bundle(self.journal, active.revision).unwrap())
    }

    pub(crate) fn active(&self) -> Digest {
        active_for(self.journal, Purpose::Gates).unwrap().unwrap().revision
    }

    pub(crate) fn propose_as(
        &self,
        by: &Submitter,
        bundle: &Bundle,
        change: impl FnOnce(&mut Proposal<'_>),
    ) -> Result<Diff, ProposeError> {
        let mut proposal = Proposal {
            title: "another owner".to_owned(),
            purpose: Purpose::Gates,
            modes: Modes::all(),
            bundle,
            base: None,
            by: by.clone(),
            time: noon(),
            expires_at: later(72),
            origin: "a test".to_owned(),
        };
        change(&mut proposal);
        diff::propose(self.journal, &mut self.worker(), &proposal)
    }

    /// Proposes and checks.
    pub(crate) fn propose(&self, bundle: &Bundle) -> Digest {
        let id = self.propose_as(&person("otto"), bundle, |_| {}).unwrap().id;
        self.check(&id).unwrap();
        id
    }

    pub(crate) fn check(&self, id: &Digest) -> Result<Diff, diff::CheckError> {
        self.check_as(&person("otto"), id)
    }

    pub(crate) fn check_as(&self, by: &Submitter, id: &Digest) -> Result<Diff, diff::CheckError> {
        let options = CheckOptions { replay: replay::Options { threads: 1, ..Default::default() } };
        let checked =
            diff::check(self.journal, &mut self.worker(), id, by, None, (&options, noon()), &|_, _| {});
        checked.map(|(diff, _)| diff)
    }

    pub(crate) fn consent(
        &self,
        id: &Digest,
        who: &str,
        decision: ApprovalDecision,
    ) -> Result<Diff, ActError> {
        self.consent_as(&person(who), id, decision)
    }

    /// For a day.
    pub(crate) fn consent_as(
        &self,
        by: &Submitter,
        id: &Digest,
        decision: ApprovalDecision,
    ) -> Result<Diff, ActError> {
        let until = self.now.after(std::time::Duration::from_secs(24 * 3_600)).unwrap();
        let said = (decision, "because", until);
        let done = diff::consent(self.journal, self.chains, &mut self.worker(), id, by, said, self.now);
        done.map(|(diff, _)| diff)
    }

    pub(crate) fn approve(&self, id: &Digest, who: &str) -> Result<Diff, ActError> {
        self.consent(id, who, ApprovalDecision::Approve)
    }

    pub(crate) fn activate(&self, id: &Digest, who: &str) -> Result<Activated, ActError> {
        self.stage(id, Stage::Active, who)
    }

    pub(crate) fn stage(&self, id: &Digest, stage: Stage, who: &str) -> Result<Activated, ActError> {
        diff::activate(self.journal, self.chains, &mut self.worker(), (id, stage), &person(who), self.now)
    }

    pub(crate) fn roll_back(&self, id: &Digest, who: &str, at: Timestamp) -> Result<Activated, ActError> {
        self.roll_back_as(&person(who), id, at)
    }

    pub(crate) fn roll_back_as(
        &self,
        by: &Submitter,
        id: &Digest,
        at: Timestamp,
    ) -> Result<Activated, ActError> {
        diff::roll_back(self.journal, &mut self.worker(), id, by, "because", at)
    }

    pub(crate) fn withdraw(&self, id: &Digest, who: &str) -> Result<Diff, ActError> {
        diff::withdraw(self.journal, &mut self.worker(), id, &person(who), "because", noon())
    }
}
