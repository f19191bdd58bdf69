//! The supervisor of one command: a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{
        Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process,
        set_child_subreaper, setrlimit, setsid, waitid, waitpid,
    },
};

use crate::{
    descendants::{Seen, descendants},
    launch::{NotStarted, Spec, Status, confine},
};

/// Between asking a command to end and making it.
const GRACE: Duration = Duration::from_secs(2);

/// For the last ones of a pipeline to end after the command has.
const PARTING: Duration = Duration::from_millis(200);

/// What the supervisor waits for.
enum Happened {
    /// The command has ended; it is not reaped yet, so its number is nobody else's.
    Ended,
    /// cku asks that all ends, or is gone.
    Asked,
}

/// Starts the command that standard input describes, waits for it, ends all that it started, and writes
/// what came of it where it was told to. Whether it could do that is the exit code.
pub fn supervise() -> std::process::ExitCode {
    // A session of its own has no terminal, so that nothing can be typed into it. cku leads no group of
    // this process, which is why this cannot fail; were it to, the command would not be started.
    let session = setsid();
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    let spec = match input.read_line(&mut line).map(|_| serde_json::from_str::<Spec>(&line)) {
        Ok(Ok(spec)) => spec,
        _ => return std::process::ExitCode::from(2),
    };
    let has_session = session.map_err(|e| failed("it cannot be parted from the terminal", &e.into()));
    let status = has_session
        .and_then(|_| supervised(&spec, input))
        .unwrap_or_else(|why| Status { not_started: Some(why), ..Status::default() });
    match write(&spec.status, &status) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::from(5),
    }
}

/// Writes what came of it to a file that is not there yet: not through a link, nor over anything.
fn write(path: &Path, status: &Status) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?;
    fs::File::from(file).write_all(&serde_json::to_vec(status).map_err(std::io::Error::other)?)
}

fn supervised(spec: &Spec, input: impl Read + Send + 'static) -> Result<Status, NotStarted> {
    set_child_subreaper(Some(getpid()))
        .map_err(|e| failed("what it leaves behind could not be kept", &e.into()))?;
    let (mut child, happened) = launch(spec, input)?;
    if !matches!(happened.recv(), Ok(Happened::Ended)) {
        end(Signal::TERM);
        let until = Instant::now() + GRACE;
        while let Ok(Happened::Asked) = happened.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
        }
    }
    let (left_behind, blind) = parted(&child);
    let ended = child.wait().ok();
    Ok(Status {
        blind,
        not_started: None,
        exit_code: ended.and_then(|s: ExitStatus| s.code()),
        signal: ended.and_then(|s| s.signal()),
        left_behind,
    })
}

fn failed(what: &str, error: &std::io::Error) -> NotStarted {
    NotStarted { message: format!("{what}: {error}"), errno: error.raw_os_error() }
}

/// Starts the command, and tells when it has ended and when the input has.
///
/// The limits of the command hold for its supervisor, too, so all threads are there before they are set.
fn launch(spec: &Spec, input: impl Read + Send + 'static) -> Result<(Child, Receiver<Happened>), NotStarted> {
    let no_thread = |e: std::io::Error| failed("the supervisor of the command has no threads", &e);
    let (sender, happened) = channel();
    let asked = sender.clone();
    thread(move || {
        let mut input = input;
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        let _ = asked.send(Happened::Asked);
    })
    .map_err(no_thread)?;
    let (pipes, pipe) = channel::<ChildStdin>();
    if let Some(text) = spec.stdin.clone() {
        // A command that does not read it does not hold anybody up.
        thread(move || pipe.recv().map(|mut stdin| stdin.write_all(text.as_bytes()))).map_err(no_thread)?;
    }
    let (pids, pid) = channel::<Pid>();
    thread(move || {
        if let Ok(pid) = pid.recv() {
            wait(pid);
        }
        sender.send(Happened::Ended)
    })
    .map_err(no_thread)?;
    let spec = spec.clone();
    // The thread that is confined ends before anything else happens: the command may signal it.
    let starting = thread(move || start(&spec)).map_err(no_thread)?.join();
    let panicked = || NotStarted { message: "starting it panicked".to_owned(), errno: None };
    let mut child = starting.unwrap_or_else(|_| Err(panicked()))?;
    if let Some(stdin) = child.stdin.take() {
        let _ = pipes.send(stdin);
    }
    if let Some(pid) = pid_of(&child) {
        let _ = pids.send(pid);
    }
    Ok((child, happened))
}

fn thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<thread::JoinHandle<T>> {
    thread::Builder::new().spawn(work)
}

/// Waits for the end of a child; it is not reaped.
fn wait(pid: Pid) {
    while let Err(rustix::io::Errno::INTR) =
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
}

/// Starts the command from this thread, which is confined, as the processes of the command are then, too.
fn start(spec: &Spec) -> Result<Child, NotStarted> {
    if let Some(writable) = &spec.writable {
        confine(writable)?;
    }
    let Some((program, arguments)) = spec.argv.split_first() else {
        return Err(NotStarted { message: "there is no program".to_owned(), errno: None });
    };
    let stdin = if spec.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&spec.dir)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(stdin)
        .process_group(0);
    limit(spec)?;
    command.spawn().map_err(|error| failed(&format!("`{program}` cannot be started"), &error))
}

fn limit(spec: &Spec) -> Result<(), NotStarted> {
    let limit = |resource, most: u64| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|e| failed("a limit could not be set", &e.into()))
    };
    limit(Resource::Core, 0)?;
    spec.memory.map_or(Ok(()), |most| limit(Resource::As, most))?;
    spec.processes.map_or(Ok(()), |most| limit(Resource::Nproc, most))
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Ends what is left when the command has ended; how many processes those were, and whether some could
/// not be seen.
fn parted(child: &Child) -> (usize, bool) {
    let ended = left_behind(child).and_then(|left| end_all(child).map(|ended| left.max(ended)));
    ended.map_or((0, true), |left| (left, false))
}

/// How many processes are there after the command has ended, but for those that are just ending.
fn left_behind(child: &Child) -> std::io::Result<usize> {
    let until = Instant::now() + PARTING;
    loop {
        let left = descendants()?.into_iter().filter(|seen| !seen.ended && Some(seen.pid) != pid_of(child));
        match left.count() {
            0 => return Ok(0),
            left if Instant::now() > until => return Ok(left),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Signals all that the command started and is still there.
fn end(signal: Signal) {
    for seen in descendants().into_iter().flatten().filter(|seen| !seen.ended) {
        let _ = kill_process(seen.pid, signal);
    }
}

/// Kills until nothing is left, and says how many there were: what one generation of processes hands on
/// to the next is left behind as well. What was killed is reaped, but for the command itself, whose number
/// is kept until its status was read.
///
/// Nothing is left when a look at all processes shows none, not even one that has ended, but for a
/// command that had ended before that look began: whatever was there then is below a child of this
/// process, which is not reaped while it looks, so that it is seen.
fn end_all(child: &Child) -> std::io::Result<usize> {
    let (mut had_ended, mut killed) = (false, 0);
    loop {
        let (command, others): (Vec<Seen>, Vec<Seen>) =
            descendants()?.into_iter().partition(|seen| Some(seen.pid) == pid_of(child));
        if others.is_empty() && had_ended {
            return Ok(killed);
        }
        killed += others.iter().filter(|seen| !seen.ended).count();
        for seen in &others {
            let _ = kill_process(seen.pid, Signal::KILL);
            // Its own children become ours when it is gone; who is not ours yet is reaped the next time.
            let _ = waitpid(Some(seen.pid), WaitOptions::empty());
        }
        had_ended = command.iter().all(|seen| seen.ended);
        if let (false, Some(pid)) = (had_ended, pid_of(child)) {
            let _ = kill_process(pid, Signal::KILL);
            wait(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_a_command_is_written_over_nothing_and_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(write(&link, &Status::default()).is_err());
        assert!(!target.exists());
        write(&target, &Status::default()).unwrap();
        assert!(write(&target, &Status::default()).is_err());
        assert_eq!(Status::read(&target).unwrap(), Status::default());
    }
}
