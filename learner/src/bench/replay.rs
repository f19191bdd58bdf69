//! L11: the same journal gives the same bytes.

use cku_base::Digest;

use crate::{
    Cut, Event, Notice, ScopeState, Tables,
    bench::{
        Figure,
        learners::{Learner, Said},
        measures,
        worlds::{START, Simulation, World},
    },
    evidence,
};

/// Keeps the events that it sees, and where a proposal was made.
struct Recorder<'a> {
    tables: &'a Tables,
    state: ScopeState,
    events: Vec<Event>,
    proposals: Vec<usize>,
}

impl Learner for Recorder<'_> {
    fn apply(&mut self, event: &Event) -> Option<Said> {
        self.events.push(*event);
        match self.state.apply(self.tables, event)? {
            Notice::Propose(proposal) => {
                self.proposals.push(self.events.len());
                Some(Said { to: proposal.to, expiry: false })
            }
            Notice::Expire(to) => Some(Said { to, expiry: true }),
            Notice::Confirm | Notice::Failing(_) => None,
        }
    }

    fn adopted(&mut self, cut: Cut) {
        let event = Event::Adopted { cut, proposed: true };
        self.events.push(event);
        self.state.apply(self.tables, &event);
    }
}

/// The journal of a world, as its text, and the digests of the evidence of all proposals in it.
fn journal(tables: &Tables, seed: u64) -> (Vec<Event>, Vec<usize>) {
    let world = World::steady(0.03).then(6_000, 0.15).explored(3_000);
    let state = ScopeState::new(tables, START);
    let mut recorder = Recorder { tables, state, events: Vec::new(), proposals: Vec::new() };
    let simulation = Simulation {
        world: &world,
        epsilon: measures::EPSILON,
        runs: 10_000,
        passed: u64::MAX,
        stop: |_| false,
    };
    simulation.run(&mut recorder, seed, 0);
    (recorder.events, recorder.proposals)
}

fn digests(tables: &Tables, events: &[Event], proposals: &[usize]) -> Vec<Option<Digest>> {
    let digest = |at: &usize| evidence::gather(tables, START, events.get(..*at)?).ok()?.digest().ok();
    proposals.iter().map(digest).collect()
}

/// The proposals of a journal, when the state is stored and read back again and again.
fn restarted(tables: &Tables, events: &[Event]) -> Option<Vec<usize>> {
    let mut state = ScopeState::new(tables, START);
    let mut proposals = Vec::new();
    for (event, at) in events.iter().zip(1usize..) {
        if let Some(Notice::Propose(_)) = state.apply(tables, event) {
            proposals.push(at);
        }
        if at.is_multiple_of(611) {
            state = serde_json::from_slice(&serde_json::to_vec(&state).ok()?).ok()?;
        }
    }
    Some(proposals)
}

pub(super) fn figure(seed: u64) -> Figure {
    let tables = measures::tables(measures::declared(3_000));
    let (events, proposals) = journal(&tables, seed);
    let first = digests(&tables, &events, &proposals);
    // The journal as it is read back from its text.
    let again: Option<Vec<Event>> =
        serde_json::to_vec(&events).ok().and_then(|t| serde_json::from_slice(&t).ok());
    let same = !first.is_empty()
        && first.iter().all(Option::is_some)
        && again.is_some_and(|events| digests(&tables, &events, &proposals) == first)
        && restarted(&tables, &events).as_ref() == Some(&proposals);
    let shown =
        format!("{} proposals, {}", proposals.len(), if same { "the same digests" } else { "differing" });
    Figure {
        id: "L11",
        what: "same journal, same diff and evidence digest; also with a state stored and read back"
            .to_owned(),
        value: Some(f64::from(u8::from(same))),
        shown,
        target: "byte-identical",
        met: Some(same),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Declared, Direction};

    #[test]
    fn the_evidence_is_recomputed_bit_for_bit_and_a_changed_journal_is_noticed() {
        recomputed(&measures::tables(measures::declared(3_000)));
        assert_eq!(figure(1).met, Some(true));
    }

    #[test]
    fn evidence_that_goes_on_over_the_end_of_a_window_is_recomputed_too() {
        let declared = Declared { window: 2_500, ..measures::declared(3_000) };
        recomputed(&measures::tables(declared));
    }

    fn recomputed(tables: &Tables) {
        let (events, proposals) = journal(tables, 1);
        assert!(proposals.len() >= 2, "{proposals:?}");
        for at in &proposals {
            let events = &events[..*at];
            let claimed = evidence::gather(tables, START, events).unwrap();
            assert!(claimed.e_value > 1.0 && claimed.course.len() > 1 && claimed.course.len() <= 65);
            assert_eq!(claimed.course.last().unwrap().e_value, claimed.e_value, "the course ends at it");
            assert!(claimed.e_value >= claimed.level || claimed.proposal.direction == Direction::Loosen);
            let same =
                claimed.sensitivity.iter().find(|v| v.epsilon == 0.05 && v.label_noise == 0.0).unwrap();
            assert!(
                (same.e_value / claimed.e_value - 1.0).abs() < 1e-9,
                "{} {}",
                same.e_value,
                claimed.e_value
            );
            let digest = claimed.digest().unwrap();
            assert_eq!(evidence::verify(tables, START, events, digest).unwrap(), claimed);
            let mut changed = events.to_vec();
            changed[1] = Event::Held(crate::Band(3));
            assert!(evidence::verify(tables, START, &changed, digest).is_err());
            assert!(evidence::gather(tables, START, &events[..at - 1]).is_err(), "it was the last event");
        }
    }
}
