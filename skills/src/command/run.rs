//! Running a command beside its supervisor, and hearing what it writes.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    io::{Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::arguments::{Arguments, expanded};
use crate::{
    failure::{Failure, FailureClass, classify},
    launch::{Spec, Status},
    report::{Report, Stream, TailWriter},
    skill::Act,
};

/// For a supervisor to end what it was asked to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The variable that names a try to whoever looks for what it left.
const KEY: &str = "CKU_STEP_KEY";

/// What is heard of a command.
enum Heard {
    Wrote(Stream, Vec<u8>),
    Closed,
    Cancelled(String),
}

/// Why a command was broken off.
enum BrokenOff {
    Timeout,
    Flood,
    Cancelled(String),
}

/// Runs a command.
pub(super) fn run(mut act: Act<'_>, arguments: &Arguments, key: &str) -> Report {
    let began = Instant::now();
    let folder = match Folder::make(&act, key) {
        Ok(folder) => folder,
        Err(error) => return Report::failed(Failure::of_io("no folder for temporary files", &error)),
    };
    let spec = match spec(&act, arguments, key, &folder) {
        Ok(spec) => spec,
        Err(failure) => return Report::failed(failure),
    };
    let child = match start(&act, &spec, key) {
        Ok(child) => child,
        Err(error) => {
            return Report::failed(Failure::of_io("the supervisor of the command cannot be started", &error));
        }
    };
    let mut hearing = Hearing::of(child, &act);
    let broken_off = hearing.listen(&mut act, arguments, began);
    let status = Status::read(&folder.status());
    let mut report = Report::done(began.elapsed());
    report.stdout = hearing.stdout.finish();
    report.stderr = hearing.stderr.finish();
    match status {
        Ok(status) => {
            report.exit_code = status.exit_code;
            report.signal = status.signal;
            report.ran = status.not_started.is_none();
            report.failure = judge(&status, broken_off, arguments, &report);
        }
        Err(_) => {
            // Nobody else ends what it leaves behind now.
            end_marked(&[format!("{KEY}={key}")], Duration::ZERO);
            let message =
                "the supervisor of the command ended without a word; what the command did is unknown";
            report.failure = Some(Failure::new(FailureClass::Unknown, message));
        }
    }
    report
}

/// What came of it.
fn judge(
    status: &Status,
    broken_off: Option<BrokenOff>,
    arguments: &Arguments,
    report: &Report,
) -> Option<Failure> {
    let failed = |class, message: String| Some(Failure::new(class, message));
    if let Some(why) = &status.not_started {
        if let (Some(most), Some(error)) = (arguments.processes, why.errno)
            && error == rustix::io::Errno::AGAIN.raw_os_error()
        {
            let message = format!(
                "{}; `processes` is {most}, and counts all processes of the user that cku runs as",
                why.message
            );
            return failed(FailureClass::Resource, message);
        }
        let class = match why.errno.map(std::io::Error::from_raw_os_error) {
            Some(error) => Failure::of_io("", &error).class,
            None => FailureClass::Unknown,
        };
        return failed(class, why.message.clone());
    }
    match broken_off {
        Some(BrokenOff::Timeout) => {
            let seconds = arguments.timeout.as_secs_f64();
            return failed(FailureClass::Timeout, format!("it took longer than {seconds} s and was ended"));
        }
        Some(BrokenOff::Flood) => {
            let limit = arguments.output_limit;
            return failed(FailureClass::Resource, format!("it wrote more than {limit} bytes and was ended"));
        }
        Some(BrokenOff::Cancelled(why)) => {
            return failed(FailureClass::Interrupted, format!("it was ended: {why}"));
        }
        None => {}
    }
    let good = match arguments.expect.exit.as_slice() {
        [] => status.exit_code == Some(0),
        codes => status.exit_code.is_some_and(|code| codes.contains(&code)),
    };
    match (status.exit_code, status.signal) {
        _ if good => {}
        (_, Some(signal)) => {
            let message = format!("signal {signal}{} ended it", name_of(signal));
            let class = if signal == 9 { FailureClass::Resource } else { FailureClass::Unknown };
            return failed(class, message);
        }
        (Some(code), None) => {
            let last = report.stderr.text.trim_end().lines().last().unwrap_or_default().trim();
            let said = if last.is_empty() { String::new() } else { format!(": {last}") };
            let message: String = format!("exit code {code}{said}").chars().take(400).collect();
            return failed(classify(code, &report.stderr.text), message);
        }
        (None, None) => return failed(FailureClass::Unknown, "how it ended is unknown".to_owned()),
    }
    if status.blind {
        let message = "whether it left processes behind could not be seen; look for them by hand";
        return failed(FailureClass::Verification, message.to_owned());
    }
    if status.left_behind > 0 {
        let many = status.left_behind;
        let message = format!(
            "it left {many} process{} behind, which were ended; a step ends with all that it started",
            if many == 1 { "" } else { "es" }
        );
        return failed(FailureClass::Verification, message);
    }
    match &arguments.expect.stdout_contains {
        Some(text) if !report.stdout.text.contains(text.as_str()) => {
            failed(FailureClass::Verification, format!("what it wrote does not contain `{text}`"))
        }
        _ => None,
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        1 => " (HUP)",
        2 => " (INT)",
        4 => " (ILL)",
        6 => " (ABRT)",
        7 => " (BUS)",
        8 => " (FPE)",
        9 => " (KILL)",
        11 => " (SEGV)",
        13 => " (PIPE)",
        15 => " (TERM)",
        _ => "",
    }
}

/// A folder for one try, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn make(act: &Act<'_>, key: &str) -> std::io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        (key, act.attempt).hash(&mut hasher);
        let of_run = act.workspace.backups().join("tries").join(act.run);
        let (process, name) = (format!("{}-", std::process::id()), hasher.finish());
        // One process carries out a run: what another has left, nobody needs.
        for entry in fs::read_dir(&of_run).into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with(&process) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let folder = of_run.join(format!("{process}{name:016x}"));
        let _ = fs::remove_dir_all(&folder);
        let make = || fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("tmp"));
        // A step that ends at the same time may take the folder of the run away between.
        make().or_else(|_| make())?;
        Ok(Self(folder))
    }

    fn temporary(&self) -> PathBuf {
        self.0.join("tmp")
    }

    fn status(&self) -> PathBuf {
        self.0.join("status")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // The folder of the run goes with its last try.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

fn spec(act: &Act<'_>, arguments: &Arguments, key: &str, folder: &Folder) -> Result<Spec, Failure> {
    let dir = act.workspace.root().join(&arguments.dir);
    // By its real name: a link may lead out.
    let dir =
        fs::canonicalize(&dir).map_err(|e| Failure::of_io(&format!("the folder `{}`", dir.display()), &e))?;
    if !dir.starts_with(act.workspace.root()) {
        let message = format!("the folder `{}` lies outside the workspace", dir.display());
        return Err(Failure::new(FailureClass::Permission, message));
    }
    let own = [
        (KEY, key.to_owned()),
        ("CKU_RUN", act.run.to_owned()),
        ("CKU_STEP", act.step.to_owned()),
        ("CKU_ATTEMPT", act.attempt.to_string()),
        ("TMPDIR", folder.temporary().display().to_string()),
    ];
    let undoes = act.undoes.map(|tried| ("CKU_STEP_STATUS", tried.as_str().to_owned()));
    let own: Vec<_> = own.into_iter().chain(undoes).collect();
    let mut env = arguments.environment(&own);
    env.extend(arguments.idempotency.iter().map(|name| (name.clone(), key.to_owned())));
    let mut writable = vec![act.workspace.root().to_owned(), folder.temporary()];
    for path in &arguments.writable {
        // What is not there cannot be written to.
        let Some(real) = expanded(path).and_then(|path| fs::canonicalize(path).ok()) else { continue };
        if let Some(kept) = act.workspace.exposes(&real) {
            let message = format!(
                "`writable` names `{path}`, where cku keeps `{}`; name a narrower place",
                kept.display()
            );
            return Err(Failure::new(FailureClass::Permission, message));
        }
        writable.push(real);
    }
    Ok(Spec {
        argv: arguments.argv.clone(),
        dir,
        env,
        stdin: arguments.stdin.clone(),
        memory: arguments.memory,
        processes: arguments.processes,
        writable: (!act.launcher.unconfined).then_some(writable),
        status: folder.status(),
    })
}

/// Starts the supervisor and tells it what to do.
fn start(act: &Act<'_>, spec: &Spec, key: &str) -> std::io::Result<Child> {
    let mut child = Command::new(&act.launcher.program)
        .args(&act.launcher.arguments)
        .env_clear()
        .env(KEY, key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = serde_json::to_vec(spec).map_err(std::io::Error::other)?;
    line.push(b'\n');
    let told = child.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(&line));
    if let Err(error) = told {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(child)
}

/// What is heard of a command that runs.
struct Hearing {
    child: Child,
    heard: Receiver<Heard>,
    open: usize,
    stdout: TailWriter,
    stderr: TailWriter,
    bytes: u64,
}

impl Hearing {
    fn of(mut child: Child, act: &Act<'_>) -> Self {
        // Bounded: whoever writes faster than it is heard waits.
        let (sender, heard) = sync_channel(64);
        let mut open = 0;
        if let Some(pipe) = child.stdout.take() {
            open += 1;
            read(pipe, Stream::Stdout, sender.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            open += 1;
            read(pipe, Stream::Stderr, sender.clone());
        }
        act.cancel.on_cancel(move |why| {
            // From a thread of its own: whoever cancels does not wait for a flood to pass.
            let why = why.to_owned();
            thread::spawn(move || sender.send(Heard::Cancelled(why)));
        });
        Self { child, heard, open, stdout: TailWriter::default(), stderr: TailWriter::default(), bytes: 0 }
    }

    /// Hears until both outputs are closed, which they are when all has ended.
    fn listen(&mut self, act: &mut Act<'_>, arguments: &Arguments, began: Instant) -> Option<BrokenOff> {
        let mut broken_off = None;
        let mut deadline = began + arguments.timeout;
        while self.open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            // Whoever never stops writing is not waited for either.
            let heard = match left.is_zero() {
                true => Err(RecvTimeoutError::Timeout),
                false => self.heard.recv_timeout(left),
            };
            let why = match heard {
                Ok(Heard::Closed) => {
                    self.open -= 1;
                    continue;
                }
                Ok(Heard::Wrote(stream, bytes)) => {
                    self.wrote(act, stream, &bytes, broken_off.is_none());
                    if self.bytes <= arguments.output_limit {
                        continue;
                    }
                    BrokenOff::Flood
                }
                Ok(Heard::Cancelled(why)) => BrokenOff::Cancelled(why),
                Err(RecvTimeoutError::Timeout) if broken_off.is_some() => {
                    self.force();
                    break;
                }
                Err(RecvTimeoutError::Timeout) => BrokenOff::Timeout,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if broken_off.is_none() {
                broken_off = Some(why);
                // Its input ends, so the supervisor ends everything.
                self.child.stdin = None;
                deadline = Instant::now() + PATIENCE;
            }
        }
        self.child.stdin = None;
        let _ = self.child.wait();
        broken_off
    }

    fn wrote(&mut self, act: &mut Act<'_>, stream: Stream, bytes: &[u8], shown: bool) {
        self.bytes += bytes.len() as u64;
        match stream {
            Stream::Stdout => self.stdout.push(bytes),
            Stream::Stderr => self.stderr.push(bytes),
        }
        if shown {
            (act.output)(stream, bytes);
        }
    }

    /// The supervisor did not do what it was asked to.
    fn force(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The supervisor leads a session, and so a group, of its own.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.kill();
    }
}

fn read(mut pipe: impl Read + Send + 'static, stream: Stream, to: SyncSender<Heard>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let bytes = buffer.get(..count).unwrap_or_default().to_vec();
            if to.send(Heard::Wrote(stream, bytes)).is_err() {
                return;
            }
        }
        let _ = to.send(Heard::Closed);
    });
}

/// Ends what a try that nobody watches any more may still be doing, and waits until it is gone.
///
/// When cku goes away the supervisors end their commands by themselves; this waits for that, and helps
/// where one of them went away, too.
pub fn end_leftovers(key: &str) {
    end_marked(&[format!("{KEY}={key}"), format!("{KEY}={key}/undo")], PATIENCE);
}

/// Waits until no process whose environment holds one of these marks is left, and ends those that are
/// left after so long.
fn end_marked(marks: &[String], patience: Duration) {
    let patience = Instant::now() + patience;
    loop {
        let left = marked(marks);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= patience {
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose environment holds one of these marks.
fn marked(marks: &[String]) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let environment = environment_of(&entry.path());
        let has = |mark: &String| environment.split(|b| *b == 0).any(|variable| variable == mark.as_bytes());
        if marks.iter().any(has) {
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

/// The environment of a process. One whose first thread has ended shows it at the others alone.
fn environment_of(process: &Path) -> Vec<u8> {
    let whole = fs::read(process.join("environ")).unwrap_or_default();
    if !whole.is_empty() {
        return whole;
    }
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let mut read = threads.filter_map(|thread| fs::read(thread.path().join("environ")).ok());
    read.find(|environment| !environment.is_empty()).unwrap_or_default()
}
