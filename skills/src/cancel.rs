//! Breaking off what runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Called once, with the reason.
type Waker = Box<dyn FnOnce(&str) + Send>;

/// Breaks off whatever waits on it; clones are the same.
#[derive(Clone, Default)]
pub struct Cancel {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    reason: Option<String>,
    wakers: Vec<Waker>,
}

impl Cancel {
    /// Breaks off; the first reason counts.
    pub fn cancel(&self, reason: &str) {
        let wakers = {
            let mut state = self.lock();
            state.reason.get_or_insert_with(|| reason.to_owned());
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(|wake| wake(reason));
    }

    /// Whether it was broken off.
    pub fn is_cancelled(&self) -> bool {
        self.lock().reason.is_some()
    }

    /// Why it was broken off, if it was.
    pub fn reason(&self) -> Option<String> {
        self.lock().reason.clone()
    }

    /// Calls when it is broken off, at once if it was already.
    pub fn on_cancel(&self, wake: impl FnOnce(&str) + Send + 'static) {
        let reason = {
            let mut state = self.lock();
            match &state.reason {
                Some(reason) => reason.clone(),
                None => {
                    state.wakers.push(Box::new(wake));
                    return;
                }
            }
        };
        wake(&reason);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel").field("reason", &self.reason()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_once_and_whoever_comes_late_at_once() {
        let (cancel, told) = (Cancel::default(), Arc::new(Mutex::new(Vec::new())));
        let tell = |name: &'static str| {
            let told = told.clone();
            cancel.on_cancel(move |why| told.lock().unwrap().push(format!("{name}: {why}")));
        };
        tell("early");
        cancel.cancel("stop");
        cancel.cancel("again");
        tell("late");
        assert_eq!(*told.lock().unwrap(), ["early: stop", "late: stop"]);
    }
}
