//! The supervisor of one command: a process of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process,
    set_child_subreaper, setrlimit, waitid, waitpid,
};

use crate::launch::{NotStarted, Spec, Status, confine};

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
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    let spec = match input.read_line(&mut line).map(|_| serde_json::from_str::<Spec>(&line)) {
        Ok(Ok(spec)) => spec,
        _ => return std::process::ExitCode::from(2),
    };
    let status = supervised(&spec, input);
    let written =
        serde_json::to_vec(&status).map_err(std::io::Error::other).and_then(|s| fs::write(&spec.status, s));
    if written.is_ok() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::from(5) }
}

fn supervised(spec: &Spec, input: impl Read + Send + 'static) -> Status {
    let mut child = match prepare(spec).and_then(|()| start(spec)) {
        Ok(child) => child,
        Err(why) => return Status { not_started: Some(why), ..Status::default() },
    };
    if let (Some(text), Some(mut stdin)) = (spec.stdin.clone(), child.stdin.take()) {
        // A command that does not read it does not hold anybody up.
        thread::spawn(move || stdin.write_all(text.as_bytes()));
    }
    let happened = watch(&child, input);
    let first = happened.recv();
    if !matches!(first, Ok(Happened::Ended)) {
        end(Signal::TERM);
        let until = Instant::now() + GRACE;
        while let Ok(Happened::Asked) = happened.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
        }
    }
    let left_behind = left_behind(&child);
    end_all(&child);
    let ended = child.wait().ok();
    Status {
        not_started: None,
        exit_code: ended.and_then(|s: ExitStatus| s.code()),
        signal: ended.and_then(|s| s.signal()),
        left_behind,
    }
}

/// How many processes are there after the command has ended, but for those that are just ending.
fn left_behind(child: &Child) -> usize {
    let until = Instant::now() + PARTING;
    loop {
        let left = descendants()
            .into_iter()
            .filter(|pid| u32::try_from(pid.as_raw_nonzero().get()) != Ok(child.id()));
        match left.count() {
            0 => return 0,
            left if Instant::now() > until => return left,
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn prepare(spec: &Spec) -> Result<(), NotStarted> {
    let of_system = |what: &str, error: rustix::io::Errno| NotStarted {
        message: format!("{what}: {error}"),
        errno: Some(error.raw_os_error()),
    };
    set_child_subreaper(Some(getpid()))
        .map_err(|e| of_system("what it leaves behind could not be kept", e))?;
    let limit = |resource, most: u64| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|e| of_system("a limit could not be set", e))
    };
    limit(Resource::Core, 0)?;
    spec.memory.map_or(Ok(()), |most| limit(Resource::As, most))?;
    spec.processes.map_or(Ok(()), |most| limit(Resource::Nproc, most))
}

/// Starts the command from a thread that is confined, which its processes are then, too.
fn start(spec: &Spec) -> Result<Child, NotStarted> {
    let spec = spec.clone();
    let started = thread::spawn(move || {
        if let Some(writable) = &spec.writable {
            confine(writable)?;
        }
        let Some((program, arguments)) = spec.argv.split_first() else {
            return Err(NotStarted { message: "there is no program".to_owned(), errno: None });
        };
        let stdin = if spec.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        Command::new(program)
            .args(arguments)
            .current_dir(&spec.dir)
            .env_clear()
            .envs(spec.env)
            .stdin(stdin)
            .process_group(0)
            .spawn()
            .map_err(|error| NotStarted {
                message: format!("`{program}` cannot be started: {error}"),
                errno: error.raw_os_error(),
            })
    });
    let panicked = || NotStarted { message: "starting it panicked".to_owned(), errno: None };
    started.join().unwrap_or_else(|_| Err(panicked()))
}

/// Tells when the command has ended, and when the input has.
fn watch(child: &Child, mut input: impl Read + Send + 'static) -> Receiver<Happened> {
    let (sender, receiver) = channel();
    let to = sender.clone();
    thread::spawn(move || {
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        let _ = to.send(Happened::Asked);
    });
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    thread::spawn(move || {
        if let Some(pid) = pid {
            while let Err(rustix::io::Errno::INTR) =
                waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            {}
        }
        let _ = sender.send(Happened::Ended);
    });
    receiver
}

/// Signals all that the command started and is still there.
fn end(signal: Signal) {
    for pid in descendants() {
        let _ = kill_process(pid, signal);
    }
}

/// Kills until nothing is left; what was killed is reaped, but for the command itself, whose number is
/// kept until its status was read.
fn end_all(child: &Child) {
    loop {
        let left: Vec<Pid> = descendants();
        let others = left.iter().filter(|pid| u32::try_from(pid.as_raw_nonzero().get()) != Ok(child.id()));
        let mut any = false;
        for pid in others {
            any = true;
            let _ = kill_process(*pid, Signal::KILL);
            // Its own children become ours when it is gone; who is not ours yet is reaped the next time.
            let _ = waitpid(Some(*pid), WaitOptions::empty());
        }
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if !any {
            return;
        }
    }
}

/// All processes below this one that have not ended.
fn descendants() -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name stands in brackets and may hold anything.
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let mut fields = rest.split_whitespace();
        let (state, parent) = (fields.next(), fields.next().and_then(|p| p.parse::<i32>().ok()));
        if let (Some(state), Some(parent)) = (state, parent) {
            if state != "Z" {
                children.entry(parent).or_default().push(pid);
            }
        }
    }
    let mut found = Vec::new();
    let mut open = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = open.pop() {
        for pid in children.remove(&parent).into_iter().flatten() {
            open.push(pid);
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}
