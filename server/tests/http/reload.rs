//! Policies that change while they are asked, and an end in order.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cku_engine::Bundle;
use cku_server::Policies;
use serde_json::Value;

use crate::{
    client::{Connection, get},
    place::{Place, genesis, quiet, repository},
};

const QUESTION: &str = r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"view"},"resource":{"type":"record","id":"101"}}"#;

/// The test bundle with another name for the policy that lets Alice look; no two have the same revision.
fn write(folder: &Path, number: usize) {
    let from = repository().join("testdata/authzen/bundle");
    for file in [
        "bundle.yaml",
        "access/schema.cedarschema",
        "access/access.cedar",
        "authzen/schema.cedarschema",
        "authzen/records.cedar",
        "data/authzen/entities.yaml",
    ] {
        let text = std::fs::read_to_string(from.join(file)).unwrap();
        let text = text.replace("record.view.manager", &format!("manager.{number}"));
        std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    }
}

fn load(folder: &Path) -> Arc<Bundle> {
    Arc::new(Bundle::load(folder).unwrap())
}

/// Reloads under load: how many answers came, and those whose policies are not of their revision.
fn under_load(reloads: usize) -> (usize, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let bundles: Vec<Arc<Bundle>> = (0..4)
        .map(|number| {
            write(folder.path(), number);
            load(folder.path())
        })
        .collect();
    let of: BTreeMap<String, String> = bundles
        .iter()
        .enumerate()
        .map(|(number, bundle)| (bundle.revision().to_string(), format!("manager.{number}")))
        .collect();
    let turn = Arc::new(AtomicUsize::new(3));
    let files = {
        let (turn, bundles) = (turn.clone(), bundles.clone());
        Policies::Files(Arc::new(move || Ok(bundles[turn.load(Ordering::SeqCst) % bundles.len()].clone())))
    };
    let place =
        Place::with(files, &genesis(cku_gates::Authentication::Local, Vec::new()), folder.path(), quiet());
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mixed = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(place.at());
                    let mut mixed = Vec::new();
                    while !stop.load(Ordering::SeqCst) {
                        let came = connection.post("/access/v1/evaluation", "", QUESTION.as_bytes());
                        assert_eq!(came.status, 200, "no request fails: {came:?}");
                        asked.fetch_add(1, Ordering::SeqCst);
                        let context = came.json()["context"].clone();
                        let revision = context["bundle_revision"].as_str().unwrap();
                        let by = context["policies"][0].as_str().unwrap();
                        if of.get(revision).is_none_or(|policy| policy != by) {
                            mixed.push(format!("{by} under {revision}"));
                        }
                    }
                    mixed
                })
            })
            .collect();
        let reloaded = |at_least: u64| {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(30) {
                if get(place.at(), "/readyz", "").json()["activation"].as_u64().unwrap() > at_least {
                    return;
                }
            }
            panic!("nothing was reloaded");
        };
        for _ in 0..reloads {
            let before = get(place.at(), "/readyz", "").json()["activation"].as_u64().unwrap();
            turn.fetch_add(1, Ordering::SeqCst);
            place.server.reload();
            reloaded(before);
        }
        stop.store(true, Ordering::SeqCst);
        asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    place.journal.verify_all().unwrap();
    // What was recorded says the same as what was answered.
    let entries = place.journal.read(&cku_base::TenantPath::root(), 0, 1_000_000).unwrap();
    let mut recorded = 0;
    for body in entries.iter().filter_map(|entry| entry.body.as_ref()) {
        let Some(evaluations) = body.value.get("evaluations").and_then(Value::as_array) else { continue };
        recorded += evaluations.len();
    }
    assert_eq!(recorded, asked.load(Ordering::SeqCst));
    (recorded, mixed)
}

#[cfg(not(feature = "torn"))]
#[test]
fn policies_change_under_load_and_no_answer_is_of_two() {
    let reloads = std::env::var("CKU_RELOADS").map_or(60, |n| n.parse().unwrap());
    let (answers, mixed) = under_load(reloads);
    assert_eq!(mixed, [""; 0]);
    assert!(answers > reloads, "{answers} answers in {reloads} reloads");
}

/// The same, in a build whose answers take their revision elsewhere than their policies.
#[cfg(feature = "torn")]
#[test]
fn answers_of_two_are_noticed() {
    for _ in 0..20 {
        if !under_load(100).1.is_empty() {
            return;
        }
    }
    panic!("2,000 reloads, and no answer of two was noticed: the test shows nothing");
}

#[test]
fn what_does_not_load_leaves_what_was_there_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 1);
    let place = Place::over(folder.path(), quiet());
    let before = get(place.at(), "/readyz", "").json();
    let policies = folder.path().join("authzen/records.cedar");
    let good = std::fs::read_to_string(&policies).unwrap();
    std::fs::write(&policies, "permit (").unwrap();
    place.server.reload();
    let until = |told: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !told() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", get(place.at(), "/healthz", "").body);
        }
    };
    until(&|| get(place.at(), "/readyz", "").json()["last_good"] == true);
    let health = get(place.at(), "/healthz", "").json();
    assert_ne!(health["policies"], "as they should be");
    assert_eq!(get(place.at(), "/readyz", "").json()["bundle_revision"], before["bundle_revision"]);
    let came = Connection::open(place.at()).post("/access/v1/evaluation", "", QUESTION.as_bytes());
    assert_eq!(came.json()["context"]["bundle_revision"], before["bundle_revision"]);
    let metrics = get(place.at(), "/metrics", "").body;
    assert!(metrics.contains("cku_failed_reloads 1"), "{metrics}");
    // Mended, and something else.
    std::fs::write(&policies, good.replace("manager.1", "manager.2")).unwrap();
    until(&|| get(place.at(), "/readyz", "").json()["bundle_revision"] != before["bundle_revision"]);
    assert_eq!(get(place.at(), "/readyz", "").json()["last_good"], false);
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    let place = Place::authzen();
    let mut begun = Connection::open(place.at());
    let (head, rest) = QUESTION.split_at(10);
    begun.send(
        format!(
            "POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{head}",
            QUESTION.len()
        )
        .as_bytes(),
    );
    // The server has read the head when it answers another on the same thread's turn.
    for _ in 0..4 {
        assert_eq!(get(place.at(), "/healthz", "").status, 200);
    }
    let Place { server, journal, folder } = place;
    let at = server.address;
    let ending = std::thread::spawn(move || server.stop());
    std::thread::sleep(Duration::from_millis(200));
    begun.send(rest.as_bytes());
    let came = begun.receive().expect("what was accepted is answered");
    assert_eq!(came.json()["decision"], true);
    ending.join().unwrap();
    assert!(std::net::TcpStream::connect(at).is_err(), "nobody listens any more");
    journal.verify_all().unwrap();
    drop(folder);
}
