//! `cku eval`: one decision, one Rego value, or the tests of a bundle.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use cku_base::{Timestamp, document::Limits};
use cku_engine::{Bundle, EvalError, Input, Worker};
use cku_gates::{DecisionInput, Undecidable, decide, show_input, simulate};
use serde_json::{Value, json};

use super::test;
use crate::{
    exit::Exit,
    load::{self, BundleArg},
    output::{self, Format},
    render,
};

/// What `--now` means without a value.
const PRESENT: &str = "present";

/// How many unknown members are named.
const WARNINGS: usize = 10;

/// Evaluate a bundle: decide over an input, ask for a Rego value, or run the bundle's tests.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    bundle: BundleArg,

    /// The decision input, JSON or YAML.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["tests", "query"])]
    input: Option<PathBuf>,

    /// Evidence to add to the input, as `cku collect` writes it; may be given more than once.
    #[arg(long, value_name = "FILE", conflicts_with = "tests", requires = "input")]
    evidence: Vec<PathBuf>,

    /// The mode, in place of the input's.
    #[arg(long, value_name = "MODE", conflicts_with = "tests", requires = "input")]
    mode: Option<String>,

    /// The time of the decision, in place of the input's; without a value, the present time.
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = PRESENT,
        conflicts_with = "tests",
        requires = "input"
    )]
    now: Option<String>,

    /// A Rego query to evaluate instead, like `data.cku.quality.line_coverage`.
    #[arg(long, value_name = "QUERY", conflicts_with = "tests")]
    query: Option<String>,

    /// Run the bundle's unit tests instead (as `cku test` does).
    #[arg(long, conflicts_with = "input")]
    tests: bool,

    /// With --tests: only tests whose name or file holds this text.
    #[arg(long, value_name = "TEXT", requires = "tests")]
    filter: Option<String>,

    /// With --tests: also say which rules, policies and lines no test touches.
    #[arg(long, requires = "tests")]
    coverage: bool,

    /// How to write the result.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

/// Does the one of the three that was asked for.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    if args.tests {
        let dir = args.bundle.dir.clone();
        return test::run(&test::Args {
            bundle: BundleArg { dir },
            filter: args.filter.clone(),
            coverage: args.coverage,
            format: args.format,
        });
    }
    let bundle = load::bundle(&args.bundle.dir, args.format)?;
    match &args.query {
        Some(query) => value(args, bundle, query),
        None => decision(args, bundle),
    }
}

fn value(args: &Args, bundle: Arc<Bundle>, query: &str) -> Result<Exit, Exit> {
    let mut worker = Worker::new(bundle.clone());
    if let Some(path) = &args.input {
        let document = load::document(path, bundle.manifest().limits.document())?;
        // A decision input is shown as the gates see it, any other document as it is.
        if document.get("principal").is_some() && document.get("submission").is_some() {
            let name = path.display().to_string();
            let input = decision_input(args, &name, document, &bundle)?;
            show_input(&mut worker, &input).map_err(|why| undecided(&name, &why))?;
        } else {
            worker.set_input(Input::from(document));
        }
    }
    match worker.query(query) {
        Ok(value) => {
            match args.format {
                Format::Json => output::json(&value.map_or_else(|| json!({}), |v| json!({"result": v})))?,
                Format::Pretty => match value {
                    Some(value) => output::json(&value)?,
                    None => output::result("undefined\n")?,
                },
            }
            Ok(Exit::Pass)
        }
        Err(error) => {
            output::problem(format_args!("`{query}`: {error}"));
            Err(if matches!(error, EvalError::TimeLimit) { Exit::Internal } else { Exit::Usage })
        }
    }
}

fn decision(args: &Args, bundle: Arc<Bundle>) -> Result<Exit, Exit> {
    let Some(path) = &args.input else { return Err(Exit::Usage) };
    let name = path.display().to_string();
    let document = load::document(path, bundle.manifest().limits.document())?;
    let input = decision_input(args, &name, document, &bundle)?;
    let mut worker = Worker::new(bundle);
    match decide(&mut worker, &input, true) {
        Ok(decision) => {
            match args.format {
                Format::Json => output::json(&decision)?,
                Format::Pretty => output::result(render::decision::render(&decision, &input))?,
            }
            Ok(decision.verdict.into())
        }
        Err(why) => Err(undecided(&name, &why)),
    }
}

/// The input of a file with what the arguments change in it.
fn decision_input(
    args: &Args,
    name: &str,
    mut document: Value,
    bundle: &Bundle,
) -> Result<DecisionInput, Exit> {
    let limits = bundle.manifest().limits.document();
    let refuse = |message: String| {
        output::problem(format_args!("{name}: {}", render::foreign(&message)));
        Exit::Usage
    };
    let members = document.as_object_mut().ok_or_else(|| refuse("the input is not an object".to_owned()))?;
    if let Some(mode) = &args.mode {
        members.insert("mode".to_owned(), Value::from(mode.as_str()));
    }
    if let Some(time) = &args.now {
        members.insert("time".to_owned(), Value::from(now(time)?.to_string()));
    }
    if members.contains_key("evidence") && !members.contains_key("submission") {
        return Err(refuse(
            "this is an evidence document; give it with --evidence, beside an --input".to_owned(),
        ));
    }
    if !members.contains_key("time") {
        return Err(refuse("`time` is missing; write one in the input, or give --now".to_owned()));
    }
    if !members.contains_key("mode") {
        return Err(refuse("`mode` is missing; write one in the input, or give --mode".to_owned()));
    }
    for file in &args.evidence {
        add_evidence(&mut document, load::document(file, Limits { bytes: 64 << 20, ..limits })?).map_err(
            |message| {
                output::problem(format_args!("{}: {message}", file.display()));
                Exit::Usage
            },
        )?;
    }
    let (input, unknown) = simulate::read(document, bundle.revision()).map_err(|e| refuse(e.to_string()))?;
    warn_of(name, &unknown);
    Ok(input)
}

/// Says which members are passed over, or the first of them and how many more there are.
fn warn_of(name: &str, unknown: &[String]) {
    let style = render::style::WARNING;
    for member in unknown.iter().take(WARNINGS) {
        let member = render::foreign(member);
        output::note(format_args!(
            "{style}warning{style:#}: {name}: the member `{member}` is not known and passed over\n"
        ));
    }
    if let Some(more) = unknown.len().checked_sub(WARNINGS).filter(|more| *more > 0) {
        output::note(format_args!("{style}warning{style:#}: {name}: and {more} more\n"));
    }
}

fn undecided(name: &str, why: &Undecidable) -> Exit {
    output::problem(format_args!("{name}: {why}"));
    Exit::from(why)
}

fn now(text: &str) -> Result<Timestamp, Exit> {
    let time = if text == PRESENT { present() } else { text.parse().map_err(|e| format!("--now: {e}")) };
    time.map_err(|message| {
        output::problem(message);
        Exit::Usage
    })
}

fn present() -> Result<Timestamp, String> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|e| e.to_string())?;
    let seconds = i64::try_from(since.as_secs()).ok();
    seconds.and_then(Timestamp::from_unix_seconds).ok_or_else(|| "the clock is out of range".to_owned())
}

/// Adds documents to the submission; whoever submits the run is who submitted them, unless they
/// say otherwise.
fn add_evidence(document: &mut Value, mut more: Value) -> Result<(), String> {
    let mut list = match more.get_mut("evidence").map(Value::take) {
        Some(Value::Array(list)) => list,
        _ => return Err("no `evidence` list; write the document with `cku collect`".to_owned()),
    };
    let member = |value: &Value, name: &str| value.get(name).cloned().unwrap_or(Value::Null);
    let submitter = member(document, "principal");
    let submitter = json!({
        "kind": member(&submitter, "kind"), "id": member(&submitter, "id"), "tenant": member(&submitter, "tenant")
    });
    for item in list.iter_mut().filter_map(Value::as_object_mut) {
        item.entry("submitted_by").or_insert_with(|| submitter.clone());
    }
    let submission = object(document, "submission")?;
    let evidence = submission.entry("evidence").or_insert_with(|| Value::Array(Vec::new()));
    evidence.as_array_mut().ok_or("`submission.evidence` of the input is not a list")?.extend(list);
    Ok(())
}

fn object<'d>(document: &'d mut Value, name: &str) -> Result<&'d mut serde_json::Map<String, Value>, String> {
    let members = document.as_object_mut().ok_or("the input is not an object")?;
    let member = members.entry(name).or_insert_with(|| Value::Object(serde_json::Map::new()));
    member.as_object_mut().ok_or_else(|| format!("`{name}` of the input is not an object"))
}
