//! Runs over a real journal: what is decided on, what is kept, what is projected.

use std::sync::Arc;

use cku_authority::{Admin, Chains, Control, Floor, Genesis, KillSwitch, found, kill_switch};
use cku_base::{Digest, Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{Bundle, Sources, Worker};
use cku_gates::{Authentication, DecisionInput, Submitter, Verdict, decide};
use cku_journal::{Journal, Options};
use cku_runs::{Command, Execution, Label, PlanFile, Projections, Request, execute, gate, load, submit};
use cku_skills::{Cancel, Launcher, Workspace};

const BUNDLE: [(&str, &str); 4] = [
    (
        "bundle.yaml",
        "name: tiny\nmodes: [dev]\nroles: {admin: admins}\nmask: [submission.labels.customer, 'submission.labels.size']",
    ),
    (
        "size.rego",
        "package size\nimport rego.v1\nfiles := input.submission.labels.size\nfirst := count(input.state.first_time_skills)\nintact if input.state.chain.intact == true",
    ),
    (
        "size.gate",
        r#"gate size "How large is it?" {
             facts from data.size { files: count }
             pause large: when files > 1 because "{files} files"
             missing files pause "how large it is, is unknown"
           }
           mode dev { size }"#,
    ),
    (
        "access.cedarschema",
        "entity Role in [Role];\nentity Tenant in [Tenant] { admins: Role };\nentity User in [Role] { name: String, tenant: Tenant };\nentity ServiceAccount in [Role] { name: String, tenant: Tenant };\nentity Agent in [Role] { name: String, tenant: Tenant };\nentity Run { tenant: Tenant, authors: Set<String> };\naction \"run:create\", \"execution:high_risk\", \"healing:invoke\" appliesTo { principal: [User, ServiceAccount, Agent], resource: [Run] };\naction \"killswitch:set\" appliesTo { principal: [User, ServiceAccount, Agent], resource: [Tenant] };",
    ),
];

const ACCESS: (&str, &str) = (
    "access.cedar",
    "@id(\"admin\")\npermit (principal, action, resource is Run) when { principal in resource.tenant.admins };\n@id(\"admin.tenant\")\npermit (principal, action, resource is Tenant) when { principal in resource.admins };",
);

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

struct Place {
    _folder: tempfile::TempDir,
    journal: Journal,
    worker: Worker,
    by: Submitter,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { clock: Arc::new(noon), projector: Arc::new(Projections), ..Options::default() };
    let journal = Journal::create(&folder.path().join("journal.db"), options).unwrap();
    let bundle = Bundle::from_sources(Sources::from_files(BUNDLE.into_iter().chain([ACCESS]))).unwrap();
    let principal =
        Principal { kind: PrincipalKind::User, id: "dana".parse().unwrap(), tenant: TenantPath::root() };
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
    assert!(found(&journal, &by, &genesis, &bundle, None).unwrap_err().to_string().contains("made once"));
    Place { _folder: folder, journal, worker: Worker::new(Arc::new(bundle)), by }
}

fn request(by: &Submitter, id: &str, labels: &str) -> Request {
    let plan = format!(
        "intent: test it\nlabels: {labels}\nsteps: [{{id: a, skill: command, with: {{argv: [ls]}}}}]"
    );
    let plan = PlanFile::read("plan.yaml", plan.as_bytes(), cku_base::document::Limits::default()).unwrap();
    Request {
        id: id.to_owned(),
        tenant: "acme/payments".parse().unwrap(),
        mode: "dev".to_owned(),
        by: by.clone(),
        submission: plan.submission,
        workspace: "/w".to_owned(),
        confined: true,
        time: noon(),
    }
}

#[test]
fn a_kept_input_decides_as_it_did_unless_what_was_masked_mattered() {
    let Place { _folder, journal, mut worker, by } = place();
    let tenant: TenantPath = "acme/payments".parse().unwrap();
    for (id, labels, replayable, masked) in [
        ("run-1", "{size: 1}", false, true),
        ("run-2", "{customer: Dana Doe}", true, true),
        ("run-3", "{team: x}", true, false),
    ] {
        let run = submit(&journal, request(&by, id, labels)).unwrap();
        let gated = gate(&journal, &Chains::default(), &mut worker, run, noon()).unwrap();
        let decided = gated.run.decided.clone().unwrap();
        assert_eq!(decided.replayable, replayable, "{id}");
        assert_eq!(decided.input != decided.input_digest, masked, "{id}");
        let kept = journal.blob(&tenant, &decided.input).unwrap().unwrap();
        assert!(!String::from_utf8(kept.clone()).unwrap().contains("Dana Doe"));
        let (kept, _) = DecisionInput::read(&serde_json::from_slice(&kept).unwrap()).unwrap();
        let again = decide(&mut worker, &kept, false).unwrap();
        assert_eq!(again.gates == gated.decision.gates, replayable, "{id}");
        assert_eq!(load(&journal, &tenant, id).unwrap(), gated.run, "what is read is what was");
    }
    journal.verify_all().unwrap();
}

#[test]
fn the_snapshot_knows_the_chain_the_skills_and_the_kill_switch() {
    let Place { _folder, journal, mut worker, by } = place();
    let chains = Chains::default();
    let run = submit(&journal, request(&by, "run-1", "{size: 1}")).unwrap();
    let gated = gate(&journal, &chains, &mut worker, run, noon()).unwrap();
    assert_eq!(gated.decision.verdict, Verdict::Pass);
    assert_eq!(gated.input.state.first_time_skills.as_deref(), Some(&["command".to_owned()][..]));
    let chain = gated.input.state.chain.unwrap();
    assert_eq!((chain.intact, chain.verified_to, chain.verified_at), (true, 1, noon()));
    assert_eq!(gated.input.state.role_grants.len(), 1);
    let set = |on| KillSwitch { on, reason: "drill".to_owned() };
    cku_authority::set_kill_switch(&journal, &mut worker, &by, &"acme".parse().unwrap(), &set(true)).unwrap();
    assert!(kill_switch(&journal, &"acme/payments".parse().unwrap()).unwrap().is_some());
    assert!(kill_switch(&journal, &"globex".parse().unwrap()).unwrap().is_none());
    let run = submit(&journal, request(&by, "run-2", "{size: 1}")).unwrap();
    let gated = gate(&journal, &chains, &mut worker, run, noon()).unwrap();
    assert_eq!(gated.decision.verdict, Verdict::Reject);
    assert_eq!(gated.run.ended.unwrap().cause, "the kill switch is on: nothing goes ahead");
    cku_authority::set_kill_switch(&journal, &mut worker, &by, &"acme".parse().unwrap(), &set(false))
        .unwrap();
    assert!(kill_switch(&journal, &"acme/payments".parse().unwrap()).unwrap().is_none());
    journal.verify_all().unwrap();
}

#[test]
fn what_turns_out_badly_later_was_carried_out_and_counts_once() {
    let Place { _folder, journal, mut worker, by } = place();
    let tenant: TenantPath = "acme/payments".parse().unwrap();
    let set = KillSwitch { on: true, reason: "drill".to_owned() };
    cku_authority::set_kill_switch(&journal, &mut worker, &by, &tenant, &set).unwrap();
    let run = submit(&journal, request(&by, "run-1", "{size: 1}")).unwrap();
    let rejected = gate(&journal, &Chains::default(), &mut worker, run, noon()).unwrap().run;
    assert_eq!(rejected.ended.unwrap().outcome, None, "nothing was begun");
    let counted = || journal.rows(&tenant, "outcomes").unwrap();
    assert_eq!(counted(), []);
    for _ in 0..2 {
        let label = Label { label: "incident".to_owned(), at: noon(), note: String::new() };
        let label = Command::Label(label);
        cku_runs::act(&journal, &mut worker, (&tenant, "run-1"), &by, &label, noon()).unwrap();
        let expected = ("2026-11-20".to_owned(), serde_json::json!({"ended": 1, "failed": 1}));
        assert_eq!(counted(), [expected]);
    }
}

#[test]
fn nobody_carries_out_a_run_elsewhere_or_otherwise_than_it_was_submitted() {
    let Place { _folder, journal, mut worker, by } = place();
    for name in ["work", "other"] {
        std::fs::create_dir(_folder.path().join(name)).unwrap();
    }
    let open =
        |name: &str| Workspace::open(&_folder.path().join(name), &_folder.path().join("backups")).unwrap();
    let (work, other) = (open("work"), open("other"));
    let request =
        Request { workspace: work.root().display().to_string(), ..request(&by, "run-1", "{size: 1}") };
    let run = submit(&journal, request).unwrap();
    let run = gate(&journal, &Chains::default(), &mut worker, run, noon()).unwrap().run;
    for (workspace, unconfined) in [(&other, false), (&work, true)] {
        let launcher = Launcher { program: "none".into(), arguments: Vec::new(), unconfined };
        let execution = Execution {
            journal: &journal,
            workspace,
            launcher: &launcher,
            clock: &noon,
            holder: "test",
            stop: &Cancel::default(),
            watch: &|_| {},
        };
        let told = execute(&execution, &mut worker, &run).unwrap_err().to_string();
        assert!(told.ends_with("; go on with it as it was submitted"), "{told}");
    }
    assert_eq!(load(&journal, &run.tenant, "run-1").unwrap(), run, "nothing was recorded");
}

#[test]
fn bundles_are_kept_and_load_again() {
    let Place { _folder, journal, mut worker, by } = place();
    let revision = worker.bundle().revision();
    assert_eq!(cku_authority::active(&journal).unwrap().revision(), revision);
    let changed: Vec<_> = BUNDLE.iter().map(|(p, t)| (*p, t.replace("files > 1", "files > 2"))).collect();
    let other = Bundle::from_sources(Sources::from_files(
        changed.into_iter().chain([(ACCESS.0, ACCESS.1.to_owned())]),
    ));
    let other = other.unwrap();
    cku_authority::activate(&journal, &cku_authority::named(&by), &other).unwrap();
    cku_authority::activate(&journal, &cku_authority::named(&by), &other).unwrap();
    assert_eq!(cku_authority::active(&journal).unwrap().revision(), other.revision());
    assert_eq!(cku_authority::load_bundle(&journal, revision).unwrap().revision(), revision);
    assert!(cku_authority::load_bundle(&journal, Digest::of(b"none")).is_err());
    worker = Worker::new(cku_authority::load_bundle(&journal, revision).unwrap());
    let run = submit(&journal, request(&by, "run-1", "{size: 2}")).unwrap();
    assert_eq!(
        gate(&journal, &Chains::default(), &mut worker, run, noon()).unwrap().decision.verdict,
        Verdict::Pause
    );
    assert_eq!(journal.head(&TenantPath::root()).unwrap().unwrap().seq, 4, "activated once");
    journal.verify_all().unwrap();
}

#[test]
fn names_of_runs_sort_by_time() {
    let time = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
    let earlier = cku_runs::run_id(time(1_795_176_000), [0xff; 10]);
    let later = cku_runs::run_id(time(1_795_176_001), [0; 10]);
    assert!(earlier < later && earlier.len() == 30, "{earlier} {later}");
}
