//! What is done about a failure: the bundle's policy says it, and how long to wait before.

use std::time::Duration;

use cku_base::{Digest, Timestamp};
use cku_engine::{Input, Worker};
use cku_gates::Step;
use cku_skills::FailureClass;
use serde::Deserialize;
use serde_json::json;

use crate::{
    event::{Failure, Healing, Strategy},
    next::RETRIES,
    state::{Run, StepState},
};

/// Where the policy stands in the bundle.
pub(crate) const POLICY: &str = "data.cku.healing.strategy";

/// The longest wait before a retry, whatever the policy says.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What the policy answers.
#[derive(Debug, Deserialize)]
struct Answer {
    strategy: Strategy,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    max_delay_ms: Option<u64>,
    #[serde(default)]
    max_attempts: u32,
    #[serde(default)]
    reason: String,
}

/// Asks the policy what is done about the failure of a step; whatever goes wrong is an alert.
pub(crate) fn choose(
    worker: &mut Worker,
    run: &Run,
    step: &str,
    failure: &Failure,
    now: Timestamp,
) -> Healing {
    let healing = |strategy, reason: String, not_before| Healing {
        step: step.to_owned(),
        strategy,
        reason,
        not_before,
        undo_first: strategy == Strategy::Retry && run.undo_first(step),
        by: None,
    };
    let alert = |why: String| healing(Strategy::Alert, why, None);
    let answer = match ask(worker, run, step, failure) {
        Ok(answer) => answer,
        Err(why) => return alert(why),
    };
    let (attempts, skippable) = attempts_of(run, step);
    // Nobody's fault, and it never goes round by itself: each takes somebody who resumes the run.
    let counts = failure.class != FailureClass::Interrupted;
    match answer.strategy {
        Strategy::Retry if counts && run.retries >= RETRIES => {
            alert(format!("the policy says retry, and the {RETRIES} retries of a run are used up"))
        }
        Strategy::Retry if counts && attempts >= answer.max_attempts => {
            alert(format!("the policy says retry after {attempts} of {} tries", answer.max_attempts))
        }
        Strategy::Retry => {
            let delay = backoff(&run.key_of(step), attempts, answer.delay_ms, answer.max_delay_ms);
            healing(Strategy::Retry, answer.reason, now.after(delay))
        }
        Strategy::Skip if !skippable => {
            alert("the policy says skip, and the step does not allow it with `on_failure: skip`".to_owned())
        }
        Strategy::Abort => alert("the policy says abort, which is for people to say".to_owned()),
        strategy @ (Strategy::Skip | Strategy::Rollback | Strategy::Alert) => {
            healing(strategy, answer.reason, None)
        }
    }
}

fn attempts_of(run: &Run, step: &str) -> (u32, bool) {
    let attempts = run.steps.get(step).map_or(0, StepState::counted);
    let wish = run.step(step).and_then(|s| s.on_failure);
    (attempts, wish == Some(cku_gates::OnFailure::Skip))
}

impl Run {
    /// Whether the policy's retry of a step takes back first what the last try did: it can be undone, and
    /// not be repeated under its key.
    pub fn undo_first(&self, id: &str) -> bool {
        self.may_be_undone(id) && !self.step(id).is_some_and(is_idempotent)
    }
}

/// Whether a second try of a step with the same key has no second effect.
fn is_idempotent(step: &Step) -> bool {
    let traits = cku_skills::find(&step.skill).and_then(|s| s.check(&step.with, step.undo.as_ref()).ok());
    traits.is_some_and(|traits| traits.idempotent)
}

fn ask(worker: &mut Worker, run: &Run, id: &str, failure: &Failure) -> Result<Answer, String> {
    let step = run.step(id).ok_or("the step is not in the plan")?;
    worker.set_input(Input::from(json!({
        "run": {
            "id": run.id, "tenant": run.tenant, "mode": run.submitted.mode, "intent": run.submission.intent,
        },
        "step": {
            "id": step.id, "skill": step.skill, "attempt": attempts_of(run, id).0, "effects": step.effects,
            "reversible": step.reversible, "idempotent": is_idempotent(step), "on_failure": step.on_failure,
        },
        "failure": {
            "class": failure.class, "message": failure.message,
            "exit_code": failure.exit_code, "signal": failure.signal,
        },
        "budget": {
            "retries_left": RETRIES.saturating_sub(run.retries), "circuit_open": run.circuit_open(&step.skill),
        },
    })));
    let value = worker.value(POLICY).map_err(|e| format!("the healing policy failed: {e}"))?;
    let value = value.ok_or_else(|| format!("the bundle says nothing at `{POLICY}`"))?;
    serde_json::from_value(value).map_err(|e| format!("`{POLICY}` answers what is no strategy: {e}"))
}

/// Exponential backoff with full jitter: between nothing and `delay` × 2^(tries − 1), at most the cap.
///
/// The draw comes from the step's key and the number of tries, so that it is the same each time
/// (Brooker, "Exponential Backoff And Jitter", AWS 2015).
pub fn backoff(key: &str, tries: u32, delay_ms: u64, max_ms: Option<u64>) -> Duration {
    let longest = u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
    let cap = max_ms.unwrap_or(longest).min(longest);
    let doubled = delay_ms.saturating_mul(1u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX));
    let most = doubled.min(cap);
    let seed = Digest::of(format!("{key}/{tries}").as_bytes());
    let draw = seed.as_bytes().iter().take(8).fold(0u64, |all, byte| (all << 8) | u64::from(*byte));
    Duration::from_millis(draw % (most + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_its_cap(
            key in ".{0,20}", tries in 0u32..100, delay in any::<u64>(), cap in prop::option::of(any::<u64>())
        ) {
            let wait = backoff(&key, tries, delay, cap);
            prop_assert!(wait <= LONGEST);
            prop_assert!(cap.is_none_or(|cap| wait <= Duration::from_millis(cap)));
            prop_assert_eq!(wait, backoff(&key, tries, delay, cap));
        }
    }

    #[test]
    fn waits_grow_and_are_spread() {
        let longest = |tries| (0..200).map(|n| backoff(&format!("run/{n}"), tries, 100, None)).max().unwrap();
        let within = |tries, most: u64| {
            let longest = longest(tries).as_millis() as u64;
            assert!(longest > most * 9 / 10 && longest <= most, "{tries}: {longest}");
        };
        within(1, 100);
        within(2, 200);
        within(5, 1_600);
    }
}
