//! Where a policy diff stands, and what may be done to it: pure.

use std::{collections::BTreeSet, time::Duration};

use cku_authority::Stage;
use cku_base::{Digest, Principal, PrincipalKind, Timestamp};
use cku_gates::{Approval, ApprovalDecision, Decision, Submitter, Verdict};

use super::event::{Checked, Consented, Decided, Ended, Ending, Event, Proposed, Staged};

/// How long an approval holds at most.
const LONGEST: Duration = Duration::from_secs(72 * 3_600);

/// A policy diff, as its entries make it.
#[derive(Debug, Clone, PartialEq)]
pub struct Diff {
    /// Its digest, which is its name.
    pub id: Digest,
    /// What was proposed.
    pub proposed: Proposed,
    /// What was found out last.
    pub checked: Option<Checked>,
    /// What people said, in the order of time; also of what was found out earlier.
    pub approvals: Vec<Approval>,
    /// What change control said last about what was found out last.
    pub decided: Option<Decided>,
    /// How it was tried, in the order of time; the last holds.
    pub staged: Vec<Staged>,
    /// How it ended.
    pub ended: Option<Ended>,
    /// The place of its last entry.
    pub seq: u64,
}

/// Where a diff stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing was found out yet.
    Proposed,
    /// It waits for people.
    Checked,
    /// Change control let it pass.
    Approved,
    /// It is tried; change control let it pass for that.
    Tried(Stage),
    /// It came to this end.
    Ended(Ending),
}

impl Status {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Checked => "checked",
            Self::Approved => "approved",
            Self::Tried(stage) => stage.as_str(),
            Self::Ended(ending) => ending.as_str(),
        }
    }

    /// Whether it can still become active.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Ended(_))
    }
}

/// Something that is done to a diff.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Say what was found out.
    Check(Checked),
    /// Approve or refuse.
    Consent {
        /// Yes or no.
        decision: ApprovalDecision,
        /// Why.
        reason: String,
        /// What it is bound to.
        subject: Digest,
        /// The revision of change control it is bound to.
        bundle: Digest,
        /// Until when it holds.
        expires_at: Timestamp,
    },
    /// Say what change control decided.
    Decide(Decided),
    /// Take it away.
    Withdraw {
        /// Why.
        reason: String,
    },
    /// End it because its time is over.
    Expire,
    /// End it because its base is no longer active.
    GoStale,
    /// Try its revision, or make it the active one.
    Activate(Stage),
    /// Take it back.
    RollBack {
        /// Why.
        reason: String,
    },
}

impl Command {
    /// Whether it would end or change what is being tried, which an activation says and nothing else.
    fn spoils_a_trial(&self) -> bool {
        match self {
            Self::Check(_) | Self::Withdraw { .. } | Self::Expire => true,
            Self::Consent { decision, .. } => *decision == ApprovalDecision::Refuse,
            Self::Decide(_) | Self::GoStale | Self::Activate(_) | Self::RollBack { .. } => false,
        }
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It ended.
    #[error("the diff is {}; nothing is done to it any more", .0.as_str())]
    Ended(Ending),
    /// Nothing was found out yet.
    #[error("nothing was found out about the diff yet; `cku diff check` does it")]
    NotChecked,
    /// Its time is over.
    #[error("the diff could be approved until {0}; propose it again")]
    Expired(Timestamp),
    /// Its time is not over.
    #[error("the diff can be approved until {0}")]
    NotExpired(Timestamp),
    /// The consent would hold until a time that has passed.
    #[error("it would hold until {0}, which is not in the future")]
    Past(Timestamp),
    /// The consent would hold for too long.
    #[error("it would hold until {0}; an approval holds for 72 hours at most")]
    TooLong(Timestamp),
    /// Its author wants to approve it.
    #[error("`{0}` proposed the diff, and nobody approves their own work")]
    OwnWork(String),
    /// A machine or an agent wants to approve it.
    #[error("`{0}` is not a person, and only people approve")]
    NotAPerson(String),
    /// The same person said something about the same evidence.
    #[error("`{who}` has {said} the diff already, at {at}; nobody decides twice over the same evidence")]
    Twice {
        /// Who.
        who: String,
        /// What they said.
        said: &'static str,
        /// When.
        at: Timestamp,
    },
    /// Change control decided over something else.
    #[error("change control decided over other evidence; `cku diff check` was run meanwhile")]
    OtherEvidence,
    /// Change control did not let it pass.
    #[error("change control has not let the diff pass; `cku diff show` says what is missing")]
    NotApproved,
    /// It is tried.
    #[error("the diff is being tried ({0}); `cku diff rollback` ends that, `cku diff activate` goes on")]
    Tried(&'static str),
    /// It was tried further already.
    #[error("the diff is in {0} already, and goes on from there to a canary or to all runs")]
    NotBack(&'static str),
    /// It is not active.
    #[error("the diff is {0}; only one that is active or tried is rolled back")]
    NotActive(&'static str),
}

impl Diff {
    /// A diff that was just proposed.
    pub fn new(id: Digest, proposed: Proposed, seq: u64) -> Self {
        Self {
            id,
            proposed,
            checked: None,
            approvals: Vec::new(),
            decided: None,
            staged: Vec::new(),
            ended: None,
            seq,
        }
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        if let (None, Some(Staged { stage, .. })) = (&self.ended, self.staged.last()) {
            return Status::Tried(*stage);
        }
        match (&self.ended, &self.checked, &self.decided) {
            (Some(ended), _, _) => Status::Ended(ended.ending),
            (None, None, _) => Status::Proposed,
            (None, Some(_), Some(Decided { verdict: Verdict::Pass, .. })) => Status::Approved,
            (None, Some(_), _) => Status::Checked,
        }
    }

    /// What a command comes to, at this time; nothing changes by it.
    pub fn decide(&self, by: &Submitter, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let ended = |ending, reason: &str| vec![Event::Ended(Ended { ending, reason: reason.to_owned() })];
        if let Command::RollBack { reason } = command {
            return match self.status() {
                Status::Ended(Ending::Activated) | Status::Tried(_) => Ok(ended(Ending::RolledBack, reason)),
                status => Err(Refusal::NotActive(status.as_str())),
            };
        }
        if let Status::Ended(ending) = self.status() {
            return Err(Refusal::Ended(ending));
        }
        if let (Status::Tried(stage), true) = (self.status(), command.spoils_a_trial()) {
            return Err(Refusal::Tried(stage.as_str()));
        }
        let expires_at = self.proposed.expires_at;
        let in_time = || if now < expires_at { Ok(()) } else { Err(Refusal::Expired(expires_at)) };
        match command {
            Command::Check(checked) => {
                in_time()?;
                Ok(vec![Event::Checked(checked.clone())])
            }
            Command::Consent { .. } => {
                in_time()?;
                self.consent(by, command, now).map(|approval| vec![Event::Consented(Consented { approval })])
            }
            Command::Decide(decided) => {
                let checked = self.checked.as_ref().ok_or(Refusal::NotChecked)?;
                if decided.evidence != checked.evidence {
                    return Err(Refusal::OtherEvidence);
                }
                Ok(vec![Event::Decided(decided.clone())])
            }
            Command::Withdraw { reason } => Ok(ended(Ending::Withdrawn, reason)),
            Command::Expire => match now < expires_at {
                true => Err(Refusal::NotExpired(expires_at)),
                false => Ok(ended(Ending::Expired, "")),
            },
            Command::GoStale => Ok(ended(Ending::Stale, "its base is no longer active")),
            Command::Activate(stage) => {
                in_time()?;
                if !self.passed() {
                    return Err(Refusal::NotApproved);
                }
                self.goes_on(*stage)?;
                Ok(match stage {
                    Stage::Active => ended(Ending::Activated, ""),
                    stage => vec![Event::Staged(Staged { stage: *stage, since: now })],
                })
            }
            Command::RollBack { .. } => Err(Refusal::NotActive(self.status().as_str())),
        }
    }

    /// Whether this is who proposed it, in whatever part: an agent or a service account of the same name is
    /// taken for theirs.
    pub fn is_author(&self, who: &Principal) -> bool {
        let author = &self.proposed.author.principal;
        (&who.id, &who.tenant) == (&author.id, &author.tenant)
    }

    /// Whether an approval or refusal is bound to what is decided, in time, and under a key that is trusted.
    pub(super) fn counts(
        &self,
        said: &Approval,
        decision: &Decision,
        now: Timestamp,
        revoked: &BTreeSet<String>,
    ) -> bool {
        (said.subject_digest, said.bundle_revision) == (decision.subject_digest, decision.bundle_revision)
            && said.time <= now
            && now < said.expires_at
            && said.key.as_ref().is_none_or(|key| !revoked.contains(key))
            && !self.is_author(&said.approver)
    }

    /// Whether change control let it pass, and nobody said anything since.
    fn passed(&self) -> bool {
        matches!(&self.decided, Some(Decided { verdict: Verdict::Pass, .. }))
    }

    /// Refuses to go back: from a canary to a shadow, or to the stage where it is.
    fn goes_on(&self, stage: Stage) -> Result<(), Refusal> {
        let Status::Tried(now) = self.status() else { return Ok(()) };
        match (now, stage) {
            (now, stage) if now == stage => Err(Refusal::NotBack(now.as_str())),
            (Stage::Canary { .. }, Stage::Shadow) => Err(Refusal::NotBack(now.as_str())),
            _ => Ok(()),
        }
    }

    fn consent(&self, by: &Submitter, command: &Command, now: Timestamp) -> Result<Approval, Refusal> {
        let Command::Consent { decision, reason, subject, bundle, expires_at } = command else {
            return Err(Refusal::NotChecked);
        };
        if self.checked.is_none() {
            return Err(Refusal::NotChecked);
        }
        let who = &by.principal;
        if self.is_author(who) {
            return Err(Refusal::OwnWork(who.to_string()));
        }
        if who.kind != PrincipalKind::User {
            return Err(Refusal::NotAPerson(who.to_string()));
        }
        if *expires_at <= now {
            return Err(Refusal::Past(*expires_at));
        }
        if now.after(LONGEST).is_some_and(|latest| *expires_at > latest) {
            return Err(Refusal::TooLong(*expires_at));
        }
        // What another key said in their name may not be theirs, and what is over or void says nothing; a
        // refusal is always heard.
        let key = by.token.as_ref().and_then(|token| token.key.clone());
        let before = self.approvals.iter().rfind(|a| {
            (&a.approver, a.subject_digest, a.bundle_revision, &a.key) == (who, *subject, *bundle, &key)
                && now < a.expires_at
        });
        let changes_mind = |before: &&Approval| {
            before.decision == ApprovalDecision::Approve && *decision == ApprovalDecision::Refuse
        };
        if let Some(before) = before.filter(|before| !changes_mind(before)) {
            let said = match before.decision {
                ApprovalDecision::Approve => "approved",
                ApprovalDecision::Refuse => "refused",
            };
            return Err(Refusal::Twice { who: who.to_string(), said, at: before.time });
        }
        Ok(Approval {
            approver: who.clone(),
            gate: super::event::GATE.to_owned(),
            decision: *decision,
            subject_digest: *subject,
            bundle_revision: *bundle,
            reason: reason.clone(),
            time: now,
            expires_at: *expires_at,
            key,
        })
    }

    /// The diff after an event.
    pub fn apply(mut self, event: &Event, seq: u64) -> Self {
        self.seq = seq;
        match event {
            Event::Proposed(_) => {}
            Event::Checked(checked) => {
                self.checked = Some(checked.clone());
                self.decided = None;
            }
            Event::Consented(Consented { approval }) => {
                // What was decided before did not know of it.
                self.decided = None;
                self.approvals.push(approval.clone());
            }
            Event::Decided(decided) => self.decided = Some(decided.clone()),
            Event::Staged(staged) => self.staged.push(staged.clone()),
            Event::Ended(ended) => self.ended = Some(ended.clone()),
        }
        self
    }
}
