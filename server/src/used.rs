//! Whether a connection is in use: whoever says nothing and hears nothing holds no place.

use std::{cell::Cell, rc::Rc, time::Instant};

use crate::config::Limits;

/// How a connection was used.
#[derive(Default)]
pub(crate) struct Use {
    /// Requests that are being answered, and streams that go on.
    open: Cell<usize>,
    /// Since when there is none; since its beginning where there was none yet.
    idle: Cell<Option<Instant>>,
    /// Whether there was one.
    asked: Cell<bool>,
}

impl Use {
    /// From now until what comes back is dropped, the connection is in use.
    pub(crate) fn begin(self: &Rc<Self>) -> Using {
        self.open.set(self.open.get() + 1);
        self.asked.set(true);
        Using(self.clone())
    }

    /// Whether nobody has asked for too long: the first request has to come soon, others may take their time.
    pub(crate) fn is_over(&self, limits: &Limits) -> bool {
        let since = self.idle.get().unwrap_or_else(|| {
            // Looked at for the first time after the patience was over.
            let since = Instant::now().checked_sub(limits.patience).unwrap_or_else(Instant::now);
            self.idle.set(Some(since));
            since
        });
        let may = if self.asked.get() { limits.idle } else { limits.patience };
        self.open.get() == 0 && since.elapsed() >= may
    }
}

/// A request that is being answered, or a stream that goes on.
pub(crate) struct Using(Rc<Use>);

impl Drop for Using {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.idle.set(Some(Instant::now()));
    }
}
