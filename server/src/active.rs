//! What decides, who may ask, whose tokens count: as the journal says it right now.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use cku_auth::Trust;
use cku_authority::{
    BundleError, CKU, Genesis, Placed, Purpose, Rollout, StoreError, activate, genesis, load_bundle,
    role_grants, rollout, trusted,
};
use cku_base::{Digest, TenantPath};
use cku_engine::{Bundle, access::RoleGrant};
use cku_gates::{Authentication, Submitter};
use cku_journal::Journal;
use serde_json::Value;

/// Where policies come from.
#[derive(Clone)]
pub enum Policies {
    /// Change control says what is active.
    Managed,
    /// Files say it: what loads becomes active.
    Files(Arc<dyn Fn() -> Result<Arc<Bundle>, String> + Send + Sync>),
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Managed => "Managed",
            Self::Files(_) => "Files",
        })
    }
}

/// Why what is active cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ActiveError {
    /// The files do not load; what was active stays active.
    #[error("{0}")]
    Files(String),
    /// A bundle in the journal does not load.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// What is tried does not load; what is active decides without it.
    #[error("what is tried is left out: {0}")]
    Trial(BundleError),
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A trusted key cannot be read.
    #[error("the keys in the journal cannot be used: {0}")]
    Keys(String),
}

/// What holds for a request from its beginning to its end.
pub(crate) struct Active {
    /// The number of this state: another one, another state.
    pub(crate) number: u64,
    pub(crate) rollout: Rollout,
    pub(crate) bundles: BTreeMap<Digest, Arc<Bundle>>,
    pub(crate) grants: Vec<RoleGrant>,
    /// The keys whose tokens count; none where there is a single local user.
    pub(crate) trust: Option<Trust>,
    /// The single user of a journal that knows no tokens.
    pub(crate) local: Option<Submitter>,
}

impl Active {
    /// The bundle that decides in a mode; without one, where no mode is in question.
    pub(crate) fn bundle(&self, mode: Option<&str>) -> Option<&Arc<Bundle>> {
        let placed = mode.map_or_else(|| self.rollout.strictest(), |mode| self.rollout.in_mode(mode));
        placed.and_then(|placed| self.bundles.get(&placed.activated.revision))
    }

    /// The same policies, and nobody who may ask.
    fn without_anybody(&self, number: u64) -> Self {
        let (rollout, bundles) = (self.rollout.clone(), self.bundles.clone());
        // Without keys every token is refused; without a trust there is no local user either.
        let trust = Trust::new(Vec::new(), "nobody").ok();
        Self { number, rollout, bundles, grants: Vec::new(), trust, local: None }
    }

    /// The bundle of what is tried.
    pub(crate) fn tried(&self, placed: Option<&Placed>) -> Option<(Digest, &Arc<Bundle>)> {
        let activated = &placed?.activated;
        Some((activated.diff?, self.bundles.get(&activated.revision)?))
    }
}

/// How often what could not be loaded from the journal is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What is active, swapped at once; a request keeps the one it took.
pub(crate) struct Current {
    active: ArcSwap<Active>,
    journal: Journal,
    policies: Policies,
    /// Only one makes it anew at a time.
    making: Mutex<Mark>,
    trouble: Mutex<Option<String>>,
    pub(crate) reloads: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// What the last state was made from, and what it lacks.
struct Mark {
    authority: u64,
    number: u64,
    /// When it was made.
    at: Instant,
    /// What the journal names and could not be loaded.
    lost: Option<ActiveError>,
    /// Why the files that were looked at last do not hold.
    files: Option<ActiveError>,
}

impl Current {
    /// Makes the first state; nothing is served before there is one.
    pub(crate) fn new(journal: Journal, policies: Policies) -> Result<Self, ActiveError> {
        let loaded = from_files(&journal, &policies)?;
        let authority = journal.authority_entries().map_err(StoreError::from)?;
        let known = loaded.into_iter().map(|bundle| (bundle.revision(), bundle)).collect();
        let Views { policies: views, lost } = views(&journal, &known)?;
        let active = make(&journal, 1, views)?;
        let current = Self {
            active: ArcSwap::from_pointee(active),
            journal,
            policies,
            making: Mutex::new(Mark { authority, number: 1, at: Instant::now(), lost, files: None }),
            trouble: Mutex::new(None),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        current.tell(None);
        Ok(current)
    }

    /// What holds now.
    pub(crate) fn take(&self) -> Arc<Active> {
        self.active.load_full()
    }

    /// Why what should be active is not; none where all is well.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether the journal, and with `files` the policies' files, say something else now, and makes
    /// that hold. Whatever cannot be loaded leaves what held before, and health says so; whose tokens and
    /// roles count follows the journal either way.
    pub(crate) fn refresh(&self, files: bool) {
        let mut mark = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = self.try_refresh(&mut mark, files).err();
        drop(mark);
        self.tell(failed);
    }

    /// Says what is wrong now, once for each thing that is.
    fn tell(&self, failed: Option<ActiveError>) {
        let mark = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = failed.as_ref().or(mark.lost.as_ref()).or(mark.files.as_ref()).map(ToString::to_string);
        let mut told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &trouble
            && told.as_ref() != Some(why)
        {
            self.failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("what was active stays active: {why}");
        }
        *told = trouble;
    }

    fn try_refresh(&self, mark: &mut Mark, files: bool) -> Result<(), ActiveError> {
        let before = self.take();
        let mut known = before.bundles.clone();
        if files {
            mark.files = match from_files(&self.journal, &self.policies) {
                Ok(bundle) => {
                    known.extend(bundle.map(|bundle| (bundle.revision(), bundle)));
                    None
                }
                Err(error) => Some(error),
            };
        }
        let authority = self.journal.authority_entries().map_err(StoreError::from)?;
        let again = mark.lost.is_some() && mark.at.elapsed() >= AGAIN;
        if authority == mark.authority && !again {
            return Ok(());
        }
        let (views, lost) = match views(&self.journal, &known) {
            Ok(Views { policies, lost }) => (policies, lost),
            Err(error) => ((before.rollout.clone(), before.bundles.clone()), Some(error)),
        };
        let made = match make(&self.journal, mark.number + 1, views) {
            Ok(made) => made,
            Err(error) => {
                // Who is trusted cannot be told, so nobody is: what was revoked must not count on.
                mark.number += 1;
                self.active.store(Arc::new(before.without_anybody(mark.number)));
                return Err(error);
            }
        };
        let other = made.rollout.latest != before.rollout.latest;
        self.active.store(Arc::new(made));
        *mark =
            Mark { authority, number: mark.number + 1, at: Instant::now(), lost, files: mark.files.take() };
        if other {
            self.reloads.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Makes what the files hold the active bundle, where files say what is active.
fn from_files(journal: &Journal, policies: &Policies) -> Result<Option<Arc<Bundle>>, ActiveError> {
    let Policies::Files(load) = policies else { return Ok(None) };
    let bundle = load().map_err(ActiveError::Files)?;
    activate(journal, &Value::from(CKU), &bundle)?;
    Ok(Some(bundle))
}

/// What decides, as the journal names it.
struct Views {
    policies: (Rollout, BTreeMap<Digest, Arc<Bundle>>),
    /// Why something that is tried is left out: what is active decides without it.
    lost: Option<ActiveError>,
}

/// Loads what decides and what is tried beside it; what decides must load.
fn views(journal: &Journal, known: &BTreeMap<Digest, Arc<Bundle>>) -> Result<Views, ActiveError> {
    let rollout = rollout(journal, Purpose::Gates)?;
    let load =
        |revision| known.get(&revision).map_or_else(|| load_bundle(journal, revision), |b| Ok(b.clone()));
    let mut bundles = BTreeMap::new();
    for placed in &rollout.active {
        let revision = placed.activated.revision;
        bundles.insert(revision, load(revision)?);
    }
    let mut lost = None;
    for placed in &rollout.trials {
        match load(placed.activated.revision) {
            Ok(bundle) => {
                bundles.insert(bundle.revision(), bundle);
            }
            Err(error) => lost = Some(ActiveError::Trial(error)),
        }
    }
    Ok(Views { policies: (rollout, bundles), lost })
}

/// The state in which these policies hold, with the people and keys of the journal.
fn make(
    journal: &Journal,
    number: u64,
    (rollout, bundles): (Rollout, BTreeMap<Digest, Arc<Bundle>>),
) -> Result<Active, ActiveError> {
    let genesis = genesis(journal)?.ok_or(BundleError::NoGenesis)?;
    let local = (genesis.authentication == Authentication::Local).then(|| Submitter {
        principal: genesis.admin.principal.clone(),
        authentication: Authentication::Local,
        token: None,
    });
    let trust = if local.is_some() { None } else { Some(trust(journal, &genesis)?) };
    let grants = role_grants(journal, &TenantPath::root())?;
    Ok(Active { number, rollout, bundles, grants, trust, local })
}

fn trust(journal: &Journal, genesis: &Genesis) -> Result<Trust, ActiveError> {
    Trust::read(trusted(journal)?, &genesis.audience).map_err(|e| ActiveError::Keys(e.to_string()))
}
