//! System calls that a confined command is refused, since Landlock does not keep them inside.
//!
//! A process may change the limits of every other process of its user: of its supervisor, which then sees
//! nothing any more, and of cku. And who has a terminal can type into it, so that what is typed is run
//! when the command has ended.

use std::{collections::BTreeMap, env::consts::ARCH};

use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

/// `ioctl`s that put characters where a terminal reads them (ioctl_tty(2), ioctl_console(2)).
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// Refuses them to the calling thread and all that it starts, with EPERM; other calls stay as they are.
///
/// Calls of another architecture end the process, since their numbers mean others.
pub(crate) fn restrict() -> Result<(), String> {
    let filter = filter().map_err(|error| format!("system calls cannot be refused: {error}"))?;
    apply_filter(&filter).map_err(|error| format!("system calls cannot be refused: {error}"))
}

fn filter() -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    use SeccompCmpArgLen::{Dword, Qword};
    let is = |argument, length, op, value| SeccompCondition::new(argument, length, op, value);
    // Another process (0 is the caller itself), and new limits, not only a look at the old ones.
    let limits_of_others =
        SeccompRule::new(vec![is(0, Dword, SeccompCmpOp::Ne, 0)?, is(2, Qword, SeccompCmpOp::Ne, 0)?])?;
    let typing = TYPING.map(|request| SeccompRule::new(vec![is(1, Dword, SeccompCmpOp::Eq, request)?]));
    let typing = typing.into_iter().collect::<Result<Vec<_>, _>>()?;
    let rules = BTreeMap::from([(libc::SYS_prlimit64, vec![limits_of_others]), (libc::SYS_ioctl, typing)]);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, Resource, getppid, getrlimit, prlimit};

    #[test]
    fn limits_of_others_cannot_be_set_and_ones_own_can() {
        let parent = getppid().unwrap();
        let limit = getrlimit(Resource::Core);
        let set = move |pid: Option<Pid>| prlimit(pid, Resource::Core, getrlimit(Resource::Core)).map(drop);
        let refused = std::thread::spawn(move || {
            restrict().unwrap();
            (set(None), set(Some(parent)), getrlimit(Resource::Core) == limit)
        });
        assert_eq!(refused.join().unwrap(), (Ok(()), Err(rustix::io::Errno::PERM), true));
    }
}
