//! The processes below this one.

use std::{collections::BTreeMap, fs, io};

use rustix::process::{Pid, getpid};

/// A process below this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: Pid,
    /// Whether nothing of it runs any more, and only nobody has asked how it ended.
    pub(crate) ended: bool,
}

/// What stands in `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    ended: bool,
}

/// All processes below this one; an error if some could not be looked at.
pub(crate) fn descendants() -> io::Result<Vec<Seen>> {
    let mut children: BTreeMap<i32, Vec<(i32, bool)>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = match fs::read_to_string(entry.path().join("stat")) {
            Ok(text) => text,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        if let Some(stat) = read(&stat) {
            children.entry(stat.parent).or_default().push((pid, stat.ended));
        }
    }
    let mut found = Vec::new();
    let mut open = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = open.pop() {
        for (pid, ended) in children.remove(&parent).into_iter().flatten() {
            open.push(pid);
            found.extend(Pid::from_raw(pid).map(|pid| Seen { pid, ended }));
        }
    }
    Ok(found)
}

/// Whether a process ended while it was looked at.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn read(stat: &str) -> Option<Stat> {
    // The name stands in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Fields 3, 4 and 20.
    let (state, parent, threads) = (fields.first()?, fields.get(1)?, fields.get(17)?);
    // A process whose first thread has ended shows itself as a zombie, however many others run.
    let alone = threads.parse::<u32>().is_ok_and(|threads| threads <= 1);
    Some(Stat { parent: parent.parse().ok()?, ended: matches!(*state, "Z" | "X") && alone })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: &str, threads: u32) -> String {
        format!("42 (a) b (c) {state} 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 99 0 0")
    }

    #[test]
    fn a_zombie_with_threads_has_not_ended() {
        assert_eq!(read(&stat("S", 1)), Some(Stat { parent: 7, ended: false }));
        assert_eq!(read(&stat("Z", 1)), Some(Stat { parent: 7, ended: true }));
        assert_eq!(read(&stat("Z", 2)), Some(Stat { parent: 7, ended: false }));
        assert_eq!(read("42 (a"), None);
    }
}
