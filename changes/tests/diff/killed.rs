//! A process that acts and is killed at any moment leaves a journal in which nothing is half done.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::Duration,
};

use cku_authority::{Chains, Control};
use cku_base::TenantPath;
use cku_journal::Journal;

use crate::{
    checker::faults,
    place::{Actor, change_control, make, noon, options, owned},
    race::Dice,
};

const JOURNAL: &str = "CKU_TEST_KILLED_JOURNAL";
const SEED: &str = "CKU_TEST_KILLED_SEED";

/// Not a test of its own: what the process that is killed does.
#[test]
fn act_until_killed() {
    let Some(path) = std::env::var_os(JOURNAL).map(PathBuf::from) else { return };
    let seed = std::env::var(SEED).unwrap();
    let (journal, chains) = (Journal::open(&path, options()).unwrap(), Chains::default());
    let actor = Actor { journal: &journal, chains: &chains, now: noon() };
    for round in 0.. {
        let id = actor.propose(&owned(&format!("s{seed}r{round}")));
        // What the one before was killed at may have left anything active, never anything half done.
        actor.approve(&id, "rhea").unwrap();
        actor.activate(&id, "dana").unwrap();
        actor.roll_back(&id, "ada", noon()).unwrap();
    }
}

/// How many entries there are.
fn written(path: &Path) -> u64 {
    let journal = Journal::read_only(path, options()).unwrap();
    journal.head(&TenantPath::root()).unwrap().unwrap().seq
}

#[test]
fn killed_at_any_moment_nothing_is_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(make(&path, Control::Managed, &change_control()));
    let mut dice = Dice(7);
    for seed in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::act_until_killed", "--nocapture"])
            .env(JOURNAL, &path)
            .env(SEED, seed.to_string())
            .spawn()
            .unwrap();
        // After so many entries of its, whenever that is.
        let until = written(&path) + 1 + u64::try_from(dice.below(25)).unwrap();
        while written(&path) < until {
            assert!(child.try_wait().unwrap().is_none(), "it goes on until it is killed");
            sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let journal = Journal::open(&path, options()).unwrap();
    assert_eq!(faults(&journal), [""; 0]);
    journal.verify_all().unwrap();
    let activated = cku_authority::activations(&journal).unwrap().len();
    assert!(activated > 4, "something became active: {activated}");
}
