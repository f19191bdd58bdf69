//! Policy diffs as they are listed; all of it can be computed again from the entries.

use cku_authority::{Modes, Purpose, Stage, UnreadableEntry};
use cku_base::{Digest, Timestamp};
use cku_gates::Verdict;
use cku_journal::{Entry, ProjectError, Projector, Rows};
use serde::{Deserialize, Serialize};

use super::event::Event;

/// Digest -> [`DiffRow`].
pub(super) const DIFFS: &str = "diffs";

/// A policy diff as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffRow {
    /// One sentence that says why.
    pub title: String,
    /// What the bundle decides over.
    pub purpose: Purpose,
    /// Where it is to decide.
    #[serde(default, skip_serializing_if = "Modes::is_all")]
    pub modes: Modes,
    /// Who proposed it, in the text form.
    pub author: String,
    /// When.
    pub proposed_at: Timestamp,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
    /// The revision it applies to.
    pub base: Digest,
    /// The revision it comes to.
    pub revision: Digest,
    /// Where it stands.
    pub status: String,
    /// Its direction, once that was found out.
    #[serde(default)]
    pub direction: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}

/// Computes the rows of entries about policy diffs; entries of other kinds have none here.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiffRows;

impl Projector for DiffRows {
    fn project(&self, entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError> {
        if entry.body.is_none() {
            return Ok(());
        }
        let event = Event::of(entry).map_err(|e: UnreadableEntry| ProjectError::new(e.to_string()))?;
        let id = entry.subject().and_then(|subject| subject.strip_prefix("diff:")).map(str::to_owned);
        let (Some(event), Some(id)) = (event, id) else { return Ok(()) };
        let failed = |e: serde_json::Error| ProjectError::new(e.to_string());
        let row = match event {
            Event::Proposed(proposed) => DiffRow {
                title: proposed.title,
                purpose: proposed.purpose,
                modes: proposed.modes,
                author: proposed.author.principal.to_string(),
                proposed_at: proposed.proposed_at,
                expires_at: proposed.expires_at,
                base: proposed.base,
                revision: proposed.revision,
                status: "proposed".to_owned(),
                direction: None,
                ended_at: None,
            },
            event => {
                let Some(row) = rows.get(DIFFS, &id)? else { return Ok(()) };
                let mut row: DiffRow = serde_json::from_value(row).map_err(failed)?;
                advance(&mut row, &event, entry.header.time);
                row
            }
        };
        rows.put(DIFFS, &id, serde_json::to_value(&row).map_err(failed)?)
    }
}

fn tried(row: &DiffRow) -> bool {
    [Stage::Shadow.as_str(), "canary"].contains(&row.status.as_str())
}

fn advance(row: &mut DiffRow, event: &Event, time: Timestamp) {
    match event {
        Event::Proposed(_) => {}
        Event::Checked(checked) => {
            row.status = "checked".to_owned();
            row.direction = Some(checked.direction.name().to_owned());
        }
        // What is tried stays so, whatever is said of it, until it goes on or ends.
        Event::Consented(_) | Event::Decided(_) if tried(row) => {}
        Event::Consented(_) => row.status = "checked".to_owned(),
        Event::Decided(decided) => {
            row.status = if decided.verdict == Verdict::Pass { "approved" } else { "checked" }.to_owned();
        }
        Event::Staged(staged) => row.status = staged.stage.as_str().to_owned(),
        Event::Ended(ended) => {
            row.status = ended.ending.as_str().to_owned();
            row.ended_at = Some(time);
        }
    }
}
