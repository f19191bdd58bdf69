//! A solver as a process: what it says is believed only if it is exactly what can be said.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use cedar_policy_symcc::{
    CedarSymCompiler, CompiledPolicy, CompiledPolicySet,
    solver::{Decision, DecisionWithModel, Solver, SolverError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    runtime::Runtime,
    time::timeout,
};

use super::solver::{Outcome, Question, Task};

/// Longer answers are no models of policies.
const LONGEST_MODEL: usize = 16 << 20;

/// What the solver calls itself; the error says why there is none.
pub(super) fn version(program: &Path, limit: Duration) -> Result<String, String> {
    let missing = |error: &dyn std::fmt::Display| format!("`{}` does not run: {error}", program.display());
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let run = async { timeout(limit, command.output()).await };
    let output = runtime()?.block_on(run).map_err(|_| missing(&"it does not tell its version"))?;
    let output = output.map_err(|e| missing(&e))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    line.filter(|_| output.status.success())
        .map(|line| line.trim_start_matches("This is ").chars().take(80).collect())
        .ok_or_else(|| missing(&"it does not tell its version"))
}

fn runtime() -> Result<Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| format!("no runtime for the solver: {e}"))
}

/// Proves one thing after another with one process, and starts another after any trouble.
pub(super) struct Prover {
    program: PathBuf,
    limit: Duration,
    // Before the runtime, which it needs when it is dropped.
    compiler: Option<CedarSymCompiler<Process>>,
    runtime: Result<Runtime, String>,
}

impl Prover {
    pub(super) fn new(program: &Path, limit: Duration) -> Self {
        Self { program: program.to_owned(), limit, compiler: None, runtime: runtime() }
    }

    /// Asks; a panic of the symbolic compiler is no answer either.
    pub(super) fn ask(&mut self, task: &Task) -> Outcome {
        let runtime = match &self.runtime {
            Ok(runtime) => runtime,
            Err(why) => return Outcome::Unknown(why.clone()),
        };
        let compiler = self.compiler.take();
        let (program, limit) = (self.program.as_path(), self.limit);
        let run = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                match timeout(limit, settle(compiler, program, task)).await {
                    Ok(Ok((outcome, compiler))) => (outcome, Some(compiler)),
                    Ok(Err(why)) => (Outcome::Unknown(why), None),
                    Err(_) => (Outcome::Unknown(format!("no answer in {} s", limit.as_secs_f64())), None),
                }
            })
        });
        let panicked = || (Outcome::Unknown("the symbolic compiler panicked".to_owned()), None);
        let (outcome, compiler) = std::panic::catch_unwind(run).unwrap_or_else(|_| panicked());
        self.compiler = compiler;
        outcome
    }
}

async fn settle(
    compiler: Option<CedarSymCompiler<Process>>,
    program: &Path,
    task: &Task,
) -> Result<(Outcome, CedarSymCompiler<Process>), String> {
    let mut compiler = match compiler {
        Some(compiler) => compiler,
        None => CedarSymCompiler::new(Process::start(program).await.map_err(|e| with_causes(&e))?)
            .map_err(|e| with_causes(&e))?,
    };
    let (schema, requests) = (&*task.schema, &task.requests);
    let found = match &task.question {
        Question::Implies { narrow, wide } => {
            let narrow = CompiledPolicySet::compile(narrow, requests, schema).map_err(|e| with_causes(&e))?;
            let wide = CompiledPolicySet::compile(wide, requests, schema).map_err(|e| with_causes(&e))?;
            compiler.check_implies_with_counterexample_opt(&narrow, &wide).await
        }
        Question::NeverErrs(policy) => {
            let policy = CompiledPolicy::compile(policy, requests, schema).map_err(|e| with_causes(&e))?;
            compiler.check_never_errors_with_counterexample_opt(&policy).await
        }
    };
    match found.map_err(|e| with_causes(&e))? {
        None => Ok((Outcome::Holds, compiler)),
        Some(env) => Ok((Outcome::Fails(Box::new((env.request, env.entities))), compiler)),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ").chars().take(300).collect()
}

/// A running solver.
///
/// Each answer ends with a mark that the solver was asked to echo, so that anything more or less than an
/// answer is noticed, and a late answer is not taken for the next one.
struct Process {
    // Killed when dropped.
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    marks: u64,
}

impl Process {
    async fn start(program: &Path) -> Result<Self, SolverError> {
        let mut command = Command::new(program);
        command.args(["--lang", "smt", "--incremental"]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| SolverError::Solver("no pipes".to_owned()))?;
        let mut process = Self { _child: child, input, output: BufReader::new(output), marks: 0 };
        process.examine().await?;
        Ok(process)
    }

    /// A program that always says the same is no solver.
    async fn examine(&mut self) -> Result<(), SolverError> {
        for (assertion, expected) in [("false", Decision::Unsat), ("true", Decision::Sat)] {
            self.write(&format!("(reset)\n(set-logic ALL)\n(assert {assertion})\n")).await?;
            if self.check_sat().await? != expected {
                return Err(SolverError::Solver("it gets `true` and `false` wrong".to_owned()));
            }
        }
        self.write("(reset)\n").await
    }

    async fn write(&mut self, text: &str) -> Result<(), SolverError> {
        self.input.write_all(text.as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    /// Gives a command and reads all lines up to the mark.
    async fn ask(&mut self, command: &str) -> Result<Vec<String>, SolverError> {
        self.marks += 1;
        let mark = format!("cku-{}", self.marks);
        self.write(&format!("{command}\n(echo \"{mark}\")\n")).await?;
        let (mut lines, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).await?;
            if read == 0 {
                return Err(SolverError::Solver("it ended".to_owned()));
            }
            length += read;
            if length > LONGEST_MODEL {
                return Err(SolverError::Solver("it does not stop talking".to_owned()));
            }
            let line = line.trim_end();
            if line.trim_matches('"') == mark {
                return Ok(lines);
            }
            lines.push(line.to_owned());
        }
    }
}

fn unfit(lines: &[String]) -> SolverError {
    SolverError::UnrecognizedSolverOutput(lines.join(" ").chars().take(120).collect())
}

impl Solver for Process {
    fn smtlib_input(&mut self) -> &mut (dyn tokio::io::AsyncWrite + Unpin + Send) {
        &mut self.input
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        self.write("(set-option :produce-models true)\n").await
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        let lines = self.ask("(check-sat)").await?;
        match lines.as_slice() {
            [line] if line == "sat" => Ok(Decision::Sat),
            [line] if line == "unsat" => Ok(Decision::Unsat),
            [line] if line == "unknown" => Ok(Decision::Unknown),
            _ => Err(unfit(&lines)),
        }
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        match self.check_sat().await? {
            Decision::Unsat => Ok(DecisionWithModel::Unsat),
            Decision::Unknown => Ok(DecisionWithModel::Unknown),
            Decision::Sat => {
                let lines = self.ask("(get-model)").await?;
                match lines.as_slice() {
                    [first, .., last] if first == "(" && last == ")" => {
                        Ok(DecisionWithModel::Sat { model: lines.join("\n") + "\n" })
                    }
                    _ => Err(unfit(&lines)),
                }
            }
        }
    }
}
