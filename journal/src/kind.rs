//! The kinds of entries: a closed list, each with a version.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What an entry says, as `name/version`.
        ///
        /// A kind that this version of cku does not know is kept as it is and never an error.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
            /// Made by another version of cku; it can be read, not written.
            Unknown(String),
        }

        impl Kind {
            /// All kinds that are known.
            pub const KNOWN: &[Kind] = &[$(Kind::$variant,)*];

            /// As entries write it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(name) => name,
                }
            }

            /// Reads it from an entry.
            pub fn of(text: &str) -> Self {
                match text {
                    $($name => Self::$variant,)*
                    other => Self::Unknown(other.to_owned()),
                }
            }
        }
    };
}

kinds! {
    /// The first entry of the root tenant.
    Genesis = "genesis/1",
    /// Somebody was granted a role.
    RoleGranted = "role.granted/1",
    /// A role was taken away.
    RoleRevoked = "role.revoked/1",
    /// A key is trusted.
    KeyTrusted = "key.trusted/1",
    /// A key is trusted no longer.
    KeyRevoked = "key.revoked/1",
    /// A token or session is accepted no longer.
    SessionRevoked = "session.revoked/1",
    /// The kill switch was set.
    KillSwitchSet = "killswitch.set/1",
    /// A bundle became the active one.
    BundleActivated = "bundle.activated/1",
    /// A change of a bundle was proposed.
    DiffProposed = "diff.proposed/1",
    /// What was found out about a policy diff.
    DiffChecked = "diff.checked/1",
    /// Somebody approved or refused a policy diff.
    DiffConsented = "diff.consented/1",
    /// Change control decided over a policy diff.
    DiffDecided = "diff.decided/1",
    /// A policy diff is tried: beside what is active, or on a share of the runs.
    DiffStaged = "diff.staged/1",
    /// A policy diff came to an end: active, refused, withdrawn, expired, stale or rolled back.
    DiffEnded = "diff.ended/1",
    /// Releases are frozen for a time, or no longer.
    FreezeSet = "freeze.set/1",
    /// Somebody asked for something that access policies decide.
    AccessDecided = "access.decided/1",
    /// Questions of other systems were answered.
    EvaluationsMade = "evaluations.made/1",
    /// A run was submitted.
    RunSubmitted = "run.submitted/1",
    /// The gates decided.
    DecisionMade = "decision.made/1",
    /// Somebody approved or refused a gate.
    ApprovalGiven = "approval.given/1",
    /// Somebody voted.
    VoteCast = "vote.cast/1",
    /// The steps of a run begin.
    RunStarted = "run.started/1",
    /// A step begins.
    StepStarted = "step.started/1",
    /// A step ended.
    StepFinished = "step.finished/1",
    /// A step was left out.
    StepSkipped = "step.skipped/1",
    /// The undo of a step begins.
    StepUndoStarted = "step.undo_started/1",
    /// The undo of a step ended.
    StepUndone = "step.undone/1",
    /// What is done about a failure.
    HealingChosen = "healing.chosen/1",
    /// A run waits.
    RunWaiting = "run.waiting/1",
    /// A run goes on.
    RunResumed = "run.resumed/1",
    /// A run ended.
    RunEnded = "run.ended/1",
    /// Something was found out about a run later.
    RunLabelled = "run.labelled/1",
    /// The learner proposed a policy diff.
    LearnerProposed = "learner.proposed/1",
    /// A policy diff of the learner came to an end other than by becoming active.
    LearnerSettled = "learner.settled/1",
    /// The learner was told to propose nothing, or to go on.
    LearnerPaused = "learner.paused/1",
    /// An issuer is trusted, whose keys are found at an address.
    IssuerTrusted = "issuer.trusted/1",
    /// An issuer is trusted no longer, nor are the keys that were found there.
    IssuerRevoked = "issuer.revoked/1",
    /// A key was found at the address of an issuer.
    KeyLearned = "key.learned/1",
    /// A key is no longer found at the address of its issuer.
    KeyRetired = "key.retired/1",
    /// A service account was opened.
    AccountOpened = "account.opened/1",
    /// A service account was closed.
    AccountClosed = "account.closed/1",
    /// A token of a service account was issued.
    CredentialIssued = "credential.issued/1",
}

impl Kind {
    /// Whether it says who may do what: genesis, roles, keys, issuers, accounts, sessions, switches, bundles.
    pub fn is_authority(&self) -> bool {
        matches!(
            self,
            Self::Genesis
                | Self::RoleGranted
                | Self::RoleRevoked
                | Self::KeyTrusted
                | Self::KeyRevoked
                | Self::SessionRevoked
                | Self::KillSwitchSet
                | Self::FreezeSet
                | Self::BundleActivated
                | Self::IssuerTrusted
                | Self::IssuerRevoked
                | Self::KeyLearned
                | Self::KeyRetired
                | Self::AccountOpened
                | Self::AccountClosed
                | Self::CredentialIssued
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_back_and_an_unknown_one_is_kept() {
        for kind in Kind::KNOWN {
            assert_eq!(Kind::of(kind.as_str()), *kind);
        }
        assert_eq!(Kind::of("run.paused/7").as_str(), "run.paused/7");
    }
}
