//! `cku journal`: verify the record, read it.

use cku_base::TenantPath;
use cku_journal::{Entry, VerifyError};
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    journal::{JournalArg, failed},
    output::{self, Format},
    render::{foreign, style},
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
        /// Only the chain of this tenant.
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantPath>,
        /// With --tenant: from this entry on; what stands before is taken as it is.
        #[arg(long, value_name = "N", default_value = "1", requires = "tenant")]
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
        #[arg(long, value_name = "N", default_value = "0")]
        after: u64,
        /// At most so many of each tenant.
        #[arg(long, value_name = "N", default_value = "1000")]
        limit: usize,
        /// Only entries about this subject, like `run:run-…`.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        #[command(flatten)]
        journal: JournalArg,
        /// How to write them; JSON is one entry a line, with what it takes to verify it.
        #[arg(long, value_enum, default_value = "pretty")]
        format: Format,
    },
    /// Compute anew what is derived from the entries.
    Rebuild {
        #[command(flatten)]
        journal: JournalArg,
    },
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Verify { tenant, from, journal, format } => verify(tenant.as_ref(), *from, journal, *format),
        Command::Show { tenant, after, limit, subject, journal, format } => {
            show(tenant.as_ref(), (*after, *limit), subject.as_deref(), journal, *format)
        }
        Command::Rebuild { journal } => {
            journal.open()?.rebuild().map_err(|e| failed(&e))?;
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
    let journal = journal.open_to_read()?;
    let verified = match tenant {
        Some(tenant) => journal.verify(tenant, from).map(|verified| vec![verified]),
        None => journal.verify_all(),
    };
    match verified {
        Ok(verified) => {
            match format {
                Format::Json => {
                    let list: Vec<_> = verified
                        .iter()
                        .map(|v| json!({"tenant": v.tenant, "to": v.to, "hash": v.hash, "erased": v.erased}))
                        .collect();
                    output::json(&json!({"intact": true, "chains": list}))?;
                }
                Format::Pretty => {
                    let (good, dim) = (style::GOOD, style::DIM);
                    for v in &verified {
                        let erased = match v.erased {
                            0 => String::new(),
                            n => format!(", the bodies of {n} erased"),
                        };
                        output::result(format_args!(
                            "{good}intact{good:#}  {}  {} entries{erased}  {dim}{}{dim:#}\n",
                            v.tenant, v.to, v.hash
                        ))?;
                    }
                }
            }
            Ok(Exit::Pass)
        }
        Err(VerifyError::Damaged(damage)) => {
            if format == Format::Json {
                output::json(&json!({
                    "intact": false, "damage": damage.kind.as_str(), "tenant": damage.tenant, "seq": damage.seq,
                    "detail": damage.detail,
                }))?;
            }
            Err(failed(&format!("the journal is damaged: {damage}")))
        }
        Err(VerifyError::Read(error)) => Err(failed(&error)),
    }
}

fn show(
    tenant: Option<&TenantPath>,
    (after, limit): (u64, usize),
    subject: Option<&str>,
    journal: &JournalArg,
    format: Format,
) -> Result<Exit, Exit> {
    let journal = journal.open_to_read()?;
    let tenants = match tenant {
        Some(tenant) => vec![tenant.clone()],
        None => journal.tenants().map_err(|e| failed(&e))?,
    };
    for tenant in tenants {
        let entries = match subject {
            Some(subject) => journal.stream(&tenant, subject),
            None => journal.read(&tenant, after, limit),
        };
        let entries = entries.map_err(|e| failed(&e))?;
        for entry in entries.iter().filter(|e| e.header.seq > after).take(limit) {
            match format {
                Format::Json => output::result(format_args!("{}\n", document(entry)))?,
                Format::Pretty => output::result(line(entry))?,
            }
        }
    }
    Ok(Exit::Pass)
}

/// An entry with all that it takes to verify it from outside.
fn document(entry: &Entry) -> Value {
    let body = entry.body.as_ref();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    json!({
        "header": entry.header,
        "hash": entry.hash,
        "salt": body.map(|b| hex(&b.salt)),
        "body": body.map(|b| &b.value),
    })
}

fn line(entry: &Entry) -> String {
    let dim = style::DIM;
    let header = &entry.header;
    let says = entry.body.as_ref().map(|body| {
        let actor = match body.value.get("actor") {
            Some(Value::String(text)) => text.clone(),
            Some(actor) => {
                let text = |name: &str| actor.get(name).and_then(Value::as_str).unwrap_or_default();
                format!("{}:{}", text("kind"), text("id"))
            }
            None => String::new(),
        };
        let subject = body.value.get("subject").and_then(Value::as_str).unwrap_or_default();
        let detail = ["step", "gate", "verdict", "status", "strategy", "reason", "message"];
        let detail =
            detail.iter().filter_map(|name| body.value.get(*name)?.as_str()).collect::<Vec<_>>().join(", ");
        format!("{}  {}  {}", foreign(&actor), foreign(subject), foreign(&detail))
    });
    let says = says.unwrap_or_else(|| "(erased)".to_owned());
    format!("{} {:>5}  {dim}{}{dim:#}  {:<18} {says}\n", header.tenant, header.seq, header.time, header.kind)
}
