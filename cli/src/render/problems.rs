//! Errors of the layers below, shown in one line, and how the command ends by them.

use cku_authority::{AccessError, BundleError, StoreError};
use cku_learning::ReliabilityError;
use cku_runs::{ActError, ExecutionError, GatingError};

use super::foreign;
use crate::{exit::Exit, output};

/// The journal did not give or take something.
pub(crate) fn of_store(error: &StoreError) -> Exit {
    output::problem(foreign(&error.to_string()));
    match error {
        StoreError::Unknown { .. } => Exit::Usage,
        _ => Exit::Internal,
    }
}

/// How reliable anybody is cannot be told.
pub(crate) fn of_reliability(error: &ReliabilityError) -> Exit {
    match error {
        ReliabilityError::Store(error) => of_store(error),
        ReliabilityError::Declared(_) => {
            output::problem(foreign(&error.to_string()));
            Exit::Bundle
        }
    }
}

/// There is no active bundle.
pub(crate) fn of_bundle(error: &BundleError) -> Exit {
    output::problem(foreign(&error.to_string()));
    match error {
        BundleError::Store(_) => Exit::Internal,
        _ => Exit::Bundle,
    }
}

/// The gates could not be asked.
pub(crate) fn of_gating(error: &GatingError) -> Exit {
    match error {
        GatingError::Store(error) => of_store(error),
        GatingError::Undecidable(why) => {
            output::problem(foreign(&why.to_string()));
            Exit::from(why)
        }
    }
}

/// The steps could not be carried out.
pub(crate) fn of_execution(error: &ExecutionError) -> Exit {
    match error {
        ExecutionError::Store(error) => of_store(error),
        other => {
            output::problem(foreign(&other.to_string()));
            Exit::Usage
        }
    }
}

/// Shows why an act was not done.
pub(crate) fn of_act(error: &ActError) -> Exit {
    output::problem(foreign(&error.to_string()));
    match error {
        ActError::Access(error) => exit_of_access(error),
        ActError::Refused(_) | ActError::TakesToken => Exit::Usage,
        ActError::Store(_) => Exit::Internal,
    }
}

/// Shows why something is not allowed.
pub(crate) fn of_access(error: &AccessError) -> Exit {
    output::problem(foreign(&error.to_string()));
    exit_of_access(error)
}

fn exit_of_access(error: &AccessError) -> Exit {
    match error {
        AccessError::Denied { .. } => Exit::Reject,
        AccessError::Store(_) => Exit::Internal,
    }
}
