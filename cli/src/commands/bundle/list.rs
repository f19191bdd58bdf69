//! `cku bundle list`: the revisions that the journal keeps.

use std::collections::BTreeMap;

use cku_authority::{Placed, Purpose, Rollout, Stage};
use serde_json::json;

use super::source;
use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    output::{self, Format},
    render::{foreign, problems, style},
};

/// List the revisions that the journal keeps, in the order in which they became active.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    journal: JournalArg,

    /// How to write them.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open_to_read()?;
    let kept = source::kept(&journal)?;
    let mut does = BTreeMap::new();
    for purpose in [Purpose::Gates, Purpose::ChangeControl] {
        let rollout = cku_authority::rollout(&journal, purpose).map_err(|e| problems::of_store(&e))?;
        for placed in rollout.active.iter().chain(&rollout.trials) {
            let modes = &placed.activated.modes;
            let narrows = !modes.is_all() || rollout.active.len() > 1;
            // One that others overlay decides in the modes that they leave to it.
            let place = if narrows { format!(" in {}", modes_of(&rollout, placed)) } else { String::new() };
            does.insert(placed.seq, (placed.activated.stage, place));
        }
    }
    if args.format == Format::Json {
        let list: Vec<_> = kept
            .iter()
            .map(|(a, seq, time)| {
                let stage = does.get(seq).map(|(stage, _)| *stage);
                json!({
                    "revision": a.revision, "name": a.name, "activation": seq, "activated_at": time,
                    "active": stage == Some(Stage::Active), "stage": stage, "modes": a.modes,
                })
            })
            .collect();
        output::json(&list)?;
        return Ok(Exit::Pass);
    }
    if kept.is_empty() {
        return Err(journal::refuse(
            "the journal keeps no bundle; the first run or `cku init` activates one",
        ));
    }
    let (good, dim) = (style::GOOD, style::DIM);
    for (activated, seq, time) in &kept {
        let active = does.get(seq).map(|(stage, place)| format!("  {good}{}{good:#}{place}", stage.as_str()));
        let active = active.unwrap_or_default();
        let name = foreign(&activated.name);
        output::result(format_args!("{}  {name}  {dim}{time}{dim:#}{active}\n", activated.revision))?;
    }
    Ok(Exit::Pass)
}

/// The modes in which something decides or is tried; `others` where newer ones have taken some from it.
fn modes_of(rollout: &Rollout, placed: &Placed) -> String {
    let overlaid = rollout.active.iter().take_while(|other| other.seq != placed.seq).count() > 0;
    match (placed.activated.modes.is_all(), overlaid && placed.activated.stage == Stage::Active) {
        (true, true) => "all other modes".to_owned(),
        _ => placed.activated.modes.to_string(),
    }
}
