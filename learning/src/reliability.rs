//! How reliable skills, agents, gates, voters and tenants have been, by the entries of a tenant.

mod reckoning;
mod records;
mod report;
mod run;
mod subjects;

use std::collections::BTreeMap;

use cku_authority::StoreError;
use cku_base::TenantPath;
use cku_journal::{Entry, Journal, Kind};
use cku_learner::{Loss, patterns::Patterns};
use cku_runs::Event;
use serde::{Deserialize, Serialize};

pub use reckoning::Reckoning;
pub use records::{ReliabilityError, TrackRecords};
pub use report::{BY_CHANCE, KnownSubject, ReadTo, Report};
use run::{RunSeen, Told};
pub use subjects::{SubjectKind, Subjects};

/// Entries that are read at a time.
const PAGE: usize = 2_048;

/// What a tenant's entries say of those who had to do with its runs, as far as they were read. It is a function
/// of them: written and read again at any entry, it goes on the same.
///
/// It holds counts and the runs that have not ended. What is found out about a run later is told by its own
/// entries, which are read again then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackRecord {
    tenant: TenantPath,
    reckoning: Reckoning,
    seq: u64,
    /// Runs that have not ended.
    runs: BTreeMap<String, RunSeen>,
    subjects: Subjects,
    patterns: Patterns,
    erased: u64,
}

impl TrackRecord {
    /// Nothing read yet.
    pub fn new(tenant: TenantPath, reckoning: Reckoning) -> Self {
        Self {
            tenant,
            reckoning,
            seq: 0,
            runs: BTreeMap::new(),
            subjects: Subjects::default(),
            patterns: Patterns::default(),
            erased: 0,
        }
    }

    /// The tenant.
    pub fn tenant(&self) -> &TenantPath {
        &self.tenant
    }

    /// How it is reckoned.
    pub fn reckoning(&self) -> &Reckoning {
        &self.reckoning
    }

    /// The last entry that was read.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The outcomes of each.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// What tries say of groups.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Entries whose body was erased: whatever they said counts for nothing.
    pub fn erased(&self) -> u64 {
        self.erased
    }

    /// Reads on, up to an entry or to the end of the chain.
    ///
    /// An entry that cannot be read is an error, and nothing beyond it is read: whoever decides by what was read
    /// before might take somebody for better than the entries say.
    pub fn follow(&mut self, journal: &Journal, until: Option<u64>) -> Result<(), StoreError> {
        loop {
            let entries = journal.read(&self.tenant, self.seq, PAGE)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                if until.is_some_and(|until| entry.header.seq > until) {
                    return Ok(());
                }
                self.take(entry, |subject| Ok(journal.stream(&entry.header.tenant, subject)?))?;
            }
        }
    }

    /// Takes in the next entry; one of another tenant, or one that was taken in before, changes nothing. `stream`
    /// gives the entries about a subject; it is asked where something is found out about a run that ended.
    pub fn take(
        &mut self,
        entry: &Entry,
        stream: impl FnOnce(&str) -> Result<Vec<Entry>, StoreError>,
    ) -> Result<(), StoreError> {
        if entry.header.tenant != self.tenant || entry.header.seq <= self.seq {
            return Ok(());
        }
        // Before anything is changed: an entry that cannot be taken in is read again.
        let event = of_run(entry)?;
        let before = match &event {
            Some((id, Event::Labelled(label))) if label.counts() && !self.runs.contains_key(*id) => {
                self.ended(entry, stream)?
            }
            _ => None,
        };
        self.seq = entry.header.seq;
        self.erased += u64::from(entry.body.is_none());
        match (event, before) {
            (Some((_, event)), Some(before)) => self.found_out(before, &event),
            (Some((id, event)), None) => self.happened(id, &event),
            (None, _) => {}
        }
        Ok(())
    }

    /// The run that an entry is about, by those before it; none where they don't tell how it ended.
    fn ended(
        &self,
        entry: &Entry,
        stream: impl FnOnce(&str) -> Result<Vec<Entry>, StoreError>,
    ) -> Result<Option<RunSeen>, StoreError> {
        let Some(subject) = entry.subject() else { return Ok(None) };
        let mut events = Vec::new();
        for entry in stream(subject)?.iter().take_while(|earlier| earlier.header.seq < entry.header.seq) {
            events.extend(of_run(entry)?.map(|(_, event)| event));
        }
        Ok(RunSeen::of(&events, self.reckoning.partial).filter(RunSeen::has_ended))
    }

    fn happened(&mut self, id: &str, event: &Event) {
        if let Event::Submitted(submitted) = event {
            self.runs.entry(id.to_owned()).or_insert_with(|| RunSeen::new(submitted));
            return;
        }
        // Of a run that nobody submitted, or that ended.
        let Some(run) = self.runs.get_mut(id) else { return };
        match run.tell(event, self.reckoning.partial) {
            Told::Nothing => {}
            Told::Tried { skill, class } => {
                let loss = if class.is_some() { Loss::FULL } else { Loss::NONE };
                self.subjects.count(SubjectKind::Skills, &skill, loss, self.reckoning.half_life);
                self.patterns.observe(&run.mode, &skill, class);
            }
            Told::Ended => {
                let Some(run) = self.runs.remove(id) else { return };
                for (kind, name, loss) in run.says(&self.tenant) {
                    self.subjects.count(kind, name, loss, self.reckoning.half_life);
                }
            }
        }
    }

    /// Something was found out about a run that ended.
    fn found_out(&mut self, before: RunSeen, event: &Event) {
        let mut after = before.clone();
        after.tell(event, self.reckoning.partial);
        let said = before.says(&self.tenant);
        for (at, (kind, name, loss)) in after.says(&self.tenant).into_iter().enumerate() {
            match said.get(at) {
                Some((_, _, before)) => self.subjects.correct(kind, name, (*before, loss)),
                // Nobody could tell how it turned out until now.
                None => self.subjects.count(kind, name, loss, self.reckoning.half_life),
            }
        }
    }
}

/// The run that an entry is about, and what it says of it; none of others, and where it says nothing that is
/// counted.
fn of_run(entry: &Entry) -> Result<Option<(&str, Event)>, StoreError> {
    use Kind::{DecisionMade, RunEnded, RunLabelled, RunSubmitted, StepFinished, StepStarted, VoteCast};
    let Some(id) = entry.subject().and_then(|subject| subject.strip_prefix("run:")) else { return Ok(None) };
    match entry.kind() {
        RunSubmitted | DecisionMade | VoteCast | StepStarted | StepFinished | RunEnded | RunLabelled => {
            Ok(Event::of(entry)?.map(|event| (id, event)))
        }
        _ => Ok(None),
    }
}
