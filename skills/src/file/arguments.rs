//! What a plan says of a file.

use std::path::{Component, Path};

use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::arguments::{ArgumentError, read};

const KNOWN: [&str; 8] = ["op", "path", "to", "text", "base64", "mode", "create_dirs", "if_exists"];

#[derive(Debug, Deserialize)]
struct Document {
    op: Op,
    path: String,
    to: Option<String>,
    text: Option<String>,
    base64: Option<String>,
    mode: Option<String>,
    #[serde(default)]
    create_dirs: bool,
    if_exists: Option<IfExists>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Write,
    Append,
    Move,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IfExists {
    Replace,
    Fail,
}

/// What is done to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) path: String,
    pub(super) operation: Operation,
    pub(super) create_dirs: bool,
}

/// What is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Write { bytes: Vec<u8>, mode: Option<u32>, replace: bool },
    Append { bytes: Vec<u8> },
    Move { to: String, replace: bool },
    Delete,
}

impl Arguments {
    pub(super) fn read(members: &Map<String, Value>) -> Result<Self, ArgumentError> {
        let document: Document = read("with", members, &KNOWN)?;
        let path = inside("path", &document.path)?;
        let replace = document.if_exists != Some(IfExists::Fail);
        let takes = |name: &str, given: bool, by: &[Op]| match given && !by.contains(&document.op) {
            true => Err(ArgumentError(format!("`with.{name}` is not taken by this `op`; take it away"))),
            false => Ok(()),
        };
        takes("to", document.to.is_some(), &[Op::Move])?;
        takes("text", document.text.is_some(), &[Op::Write, Op::Append])?;
        takes("base64", document.base64.is_some(), &[Op::Write, Op::Append])?;
        takes("mode", document.mode.is_some(), &[Op::Write])?;
        takes("create_dirs", document.create_dirs, &[Op::Write, Op::Append, Op::Move])?;
        takes("if_exists", document.if_exists.is_some(), &[Op::Write, Op::Move])?;
        let operation = match document.op {
            Op::Write => {
                let bytes = bytes(document.text, document.base64)?;
                Operation::Write { bytes, mode: document.mode.as_deref().map(mode).transpose()?, replace }
            }
            Op::Append => Operation::Append { bytes: bytes(document.text, document.base64)? },
            Op::Move => match document.to {
                Some(to) => Operation::Move { to: inside("to", &to)?, replace },
                None => return Err(ArgumentError("`with` has no `to`; write where it is moved".to_owned())),
            },
            Op::Delete => Operation::Delete,
        };
        Ok(Self { path, operation, create_dirs: document.create_dirs })
    }

    /// The path whose folders are made.
    pub(super) fn target(&self) -> &str {
        match &self.operation {
            Operation::Move { to, .. } => to,
            _ => &self.path,
        }
    }
}

fn bytes(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, ArgumentError> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(text)) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|e| ArgumentError(format!("`with.base64` is not base64: {e}"))),
        _ => Err(ArgumentError("write one of `with.text` and `with.base64`".to_owned())),
    }
}

fn mode(text: &str) -> Result<u32, ArgumentError> {
    let refused =
        || ArgumentError(format!("`with.mode` is `{text}`; write three octal digits, like `\"0644\"`"));
    let mode = u32::from_str_radix(text, 8).map_err(|_| refused())?;
    if mode <= 0o777 { Ok(mode) } else { Err(refused()) }
}

/// A path that leads to a file inside by its names; links are looked at when it is opened.
fn inside(member: &str, path: &str) -> Result<String, ArgumentError> {
    let names: Vec<_> = Path::new(path).components().collect();
    let good = !names.is_empty()
        && names.iter().all(|name| matches!(name, Component::Normal(_)))
        && !path.contains('\0')
        && !path.ends_with('/');
    if good {
        return Ok(path.to_owned());
    }
    let shown = path.escape_debug();
    Err(ArgumentError(format!(
        "`with.{member}` is `{shown}`; write the path of a file inside the workspace, without `..`"
    )))
}
