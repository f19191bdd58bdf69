//! How reliable skills and voters are, beside a server: it is read on as entries are written, so that no decision
//! reads a chain.

use std::{sync::Arc, time::Duration};

use cku_base::TenantPath;
use cku_engine::Bundle;
use cku_gates::Reliability;

use crate::{
    active::Active,
    answer::Problem,
    context::{Local, Shared},
};

/// How often it is read on: what somebody's outcomes say holds after at most about that long.
const EVERY: Duration = Duration::from_millis(100);

/// Reads on until the server ends. What cannot be read is told once, and tried again; nothing is decided by it
/// meanwhile.
pub(crate) fn follow(shared: &Shared) {
    let mut told = None;
    while !*shared.stop.borrow() {
        let trouble = shared.records.refresh(&shared.journal).err().map(|error| error.to_string());
        if let Some(why) = trouble.as_ref().filter(|why| told.as_ref() != Some(*why)) {
            tracing::warn!("how reliable anybody is cannot be told: {why}");
        }
        told = trouble;
        std::thread::sleep(EVERY);
    }
}

impl Shared {
    /// What gates are given of a tenant's skills and voters. Where that cannot be told, nothing is decided.
    pub(crate) fn reliability(
        &self,
        bundle: &Bundle,
        tenant: &TenantPath,
    ) -> Result<Arc<Reliability>, Problem> {
        let given = self.records.given(&self.journal, bundle, tenant);
        given.map_err(|error| Problem::unavailable(error.to_string()))
    }
}

impl Local {
    /// Returns when the outcomes of a tenant were read once, for what decides in a mode: the first look is a pass
    /// over all of its entries, which nobody else on this thread waits for.
    pub(crate) async fn outcomes_read(
        &self,
        active: &Active,
        mode: &str,
        tenant: &TenantPath,
    ) -> Result<(), Problem> {
        let Some(bundle) = active.bundle(Some(mode)) else { return Ok(()) };
        if self.shared.records.are_known(bundle, tenant) {
            return Ok(());
        }
        let (shared, bundle, tenant) = (self.shared.clone(), bundle.clone(), tenant.clone());
        let read = tokio::task::spawn_blocking(move || shared.reliability(&bundle, &tenant)).await;
        match read {
            Ok(read) => read.map(drop),
            Err(_) => Err(Problem::internal("a defect of cku; nothing was decided")),
        }
    }
}
