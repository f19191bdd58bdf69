//! `cku journal`: verify the record, read it.

use cku_base::TenantPath;
use cku_journal::{Damage, Entry, Journal, Kind, VerifyError};
use serde_json::json;

use crate::{
    exit::Exit,
    journal::{JournalArg, failed, options, refuse},
    output::{self, Format},
    render::{entry, foreign, style},
};

/// Verify the record, read it, compute anew what is derived from it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Recompute everything: chains, documents, what is derived, the file; name the first damage.
    Verify {
        /// Only the chain of this tenant, and what is derived from it.
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantPath>,
        /// With --tenant: from this entry on; what stands before is taken as it is.
        #[arg(long, value_name = "N", default_value = "1", requires = "tenant", value_parser = count)]
        from: u64,
        #[command(flatten)]
        journal: JournalArg,
        /// How to write the result.
        #[arg(long, value_enum, default_value = "pretty")]
        format: Format,
    },
    /// Show the entries of a tenant.
    Show {
        /// Whose; without it, of all.
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantPath>,
        /// After this entry.
        #[arg(long, value_name = "N", default_value = "0", value_parser = count)]
        after: u64,
        /// At most so many of each tenant; without it, 1000 to read and all as JSON.
        #[arg(long, value_name = "N", value_parser = count)]
        limit: Option<u64>,
        /// Only entries about this subject, like `run:run-…`; of a run, denied acts too.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        #[command(flatten)]
        journal: JournalArg,
        /// How to write them; JSON is one entry a line, with what it takes to verify it.
        #[arg(long, value_enum, default_value = "pretty")]
        format: Format,
    },
    /// Compute anew what is derived from the entries, once all of them are verified.
    Rebuild {
        #[command(flatten)]
        journal: JournalArg,
    },
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a whole number, like `20`".to_owned())
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Verify { tenant, from, journal, format } => verify(tenant.as_ref(), *from, journal, *format),
        Command::Show { tenant, after, limit, subject, journal, format } => {
            let limit = limit.unwrap_or(if *format == Format::Json { u64::MAX } else { 1_000 });
            show(tenant.as_ref(), (*after, limit), subject.as_deref(), journal, *format)
        }
        Command::Rebuild { journal } => {
            let rebuilt = Journal::rebuild(&journal.existing()?, &options());
            rebuilt.map_err(|error| match error {
                VerifyError::Damaged(damage) => {
                    failed(&format!("nothing was computed anew, since the journal is damaged: {damage}"))
                }
                VerifyError::Read(error) => failed(&error),
            })?;
            output::result("computed anew\n")?;
            Ok(Exit::Pass)
        }
    }
}

fn verify(
    tenant: Option<&TenantPath>,
    from: u64,
    journal: &JournalArg,
    format: Format,
) -> Result<Exit, Exit> {
    // What cannot even be opened is not intact: whoever reads JSON is told so there, too.
    let not_intact =
        |damage: Option<&str>, tenant: Option<&TenantPath>, seq: Option<u64>, detail: &str| match format {
            Format::Pretty => Ok(()),
            Format::Json => output::json(&json!({
                "intact": false, "damage": damage, "tenant": tenant, "seq": seq, "detail": detail,
            })),
        };
    journal.existing()?;
    let journal = journal.open_to_read().or_else(|exit| {
        not_intact(None, None, None, "it cannot be opened")?;
        Err(exit)
    })?;
    let verified = match tenant {
        Some(tenant) => {
            known(&journal, tenant)?;
            let verified = match from {
                0 | 1 => journal.confirm(tenant, None).map(|confirmed| confirmed.verified()),
                from => journal.verify(tenant, from),
            };
            verified.map(|verified| vec![verified])
        }
        None => journal.verify_all(),
    };
    match verified {
        Ok(verified) => {
            match format {
                Format::Json => {
                    let list: Vec<_> = verified
                        .iter()
                        .map(|v| json!({"tenant": v.tenant, "to": v.to, "hash": v.hash}))
                        .collect();
                    output::json(&json!({"intact": true, "chains": list}))?;
                }
                Format::Pretty => {
                    let (good, dim) = (style::GOOD, style::DIM);
                    for v in &verified {
                        output::result(format_args!(
                            "{good}intact{good:#}  {}  {} entries  {dim}{}{dim:#}\n",
                            v.tenant, v.to, v.hash
                        ))?;
                    }
                }
            }
            Ok(Exit::Pass)
        }
        Err(VerifyError::Damaged(damage)) => {
            let Damage { kind, tenant, seq, detail } = &damage;
            not_intact(Some(kind.as_str()), tenant.as_ref(), *seq, detail)?;
            Err(failed(&format!("the journal is damaged: {damage}")))
        }
        Err(VerifyError::Read(error)) => {
            not_intact(None, None, None, &error.to_string())?;
            Err(failed(&error))
        }
    }
}

/// Refuses a tenant that the journal does not know: nothing would be verified or shown of a mistyped one.
fn known(journal: &Journal, tenant: &TenantPath) -> Result<(), Exit> {
    let tenants = journal.tenants().map_err(|e| failed(&e))?;
    if tenants.contains(tenant) {
        return Ok(());
    }
    let names: Vec<&str> = tenants.iter().map(TenantPath::as_str).collect();
    let hint = cku_base::suggest(tenant.as_str(), names.iter().copied());
    let hint = hint.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    Err(refuse(&format!("the journal has no entries of {tenant}, but of {}{hint}", names.join(", "))))
}

/// Entries that are read at once.
const PAGE: u64 = 1_000;

fn show(
    tenant: Option<&TenantPath>,
    (after, limit): (u64, u64),
    subject: Option<&str>,
    journal: &JournalArg,
    format: Format,
) -> Result<Exit, Exit> {
    let journal = journal.open_to_read()?;
    let tenants = match tenant {
        Some(tenant) => known(&journal, tenant).map(|()| vec![tenant.clone()])?,
        None => journal.tenants().map_err(|e| failed(&e))?,
    };
    let mut found = subject.is_none();
    for tenant in &tenants {
        let (mut after, mut left) = (after, limit);
        let of_subject = subject.map(|subject| about(&journal, tenant, subject)).transpose()?;
        found |= of_subject.as_ref().is_some_and(|all| !all.is_empty());
        while left > 0 {
            let size = usize::try_from(left.min(PAGE)).unwrap_or(usize::MAX);
            let page = match &of_subject {
                Some(all) => all.iter().filter(|e| e.header.seq > after).take(size).cloned().collect(),
                None => journal.read(tenant, after, size).map_err(|e| failed(&e))?,
            };
            let Some(last) = page.last() else { break };
            (after, left) = (last.header.seq, left - page.len() as u64);
            match format {
                Format::Json => {
                    for entry in &page {
                        output::result(format_args!("{}\n", entry.document()))?;
                    }
                }
                Format::Pretty => output::result(entry::lines(&page, &tenants))?,
            }
        }
        let head = journal.head(tenant).map_err(|e| failed(&e))?.map_or(0, |head| head.seq);
        if left == 0 && subject.is_none() && after < head {
            output::note(format_args!(
                "{tenant} has entries up to {head}; `--tenant {tenant} --after {after}` shows those that follow\n"
            ));
        }
    }
    if found { Ok(Exit::Pass) } else { Err(no_such_subject(subject.unwrap_or_default())) }
}

/// All entries about a subject, in order; the denials of acts on a run stand in streams of their own.
fn about(journal: &Journal, tenant: &TenantPath, subject: &str) -> Result<Vec<Entry>, Exit> {
    let mut all = journal.stream(tenant, subject).map_err(|e| failed(&e))?;
    let (Some(run), Some(first)) = (subject.strip_prefix("run:"), all.first()) else { return Ok(all) };
    let denied = |entry: &Entry| {
        let body = entry.body.as_ref().filter(|_| entry.header.kind == Kind::AccessDecided.as_str());
        body.is_some_and(|body| body.value.get("run").is_some_and(|of| of == run))
    };
    let mut after = first.header.seq;
    loop {
        let page = journal.read(tenant, after, usize::try_from(PAGE).unwrap_or(usize::MAX));
        let page = page.map_err(|e| failed(&e))?;
        let Some(last) = page.last() else { break };
        after = last.header.seq;
        all.extend(page.into_iter().filter(denied));
    }
    all.sort_by_key(|entry| entry.header.seq);
    Ok(all)
}

fn no_such_subject(subject: &str) -> Exit {
    let look = match subject.starts_with("run:") {
        true => "`cku runs list` lists the runs",
        false => "`cku journal show` shows the subjects there are",
    };
    refuse(&format!("the journal has no entries about `{}`; {look}", foreign(subject)))
}
