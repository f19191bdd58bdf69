//! Issuers whose keys are found at an address, and how what they say names principals here.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::{Principal, PrincipalId, PrincipalKind, TenantPath};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{key::Algorithm, token::TokenError};

/// The issuer of the tokens of GitHub Actions.
pub const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// The issuer of the tokens of service accounts, which are kept here.
pub const ACCOUNTS: &str = "urn:cku:service-accounts";

/// Claims whose declared value may end in `*`: what they name has no id of its own.
const OPEN_ENDED: [&str; 3] = ["ref", "workflow_ref", "job_workflow_ref"];

/// An issuer whose keys are found at an address.
///
/// INVARIANT: the address is `https://…`, `http://` on this machine, or a file with an absolute path; it says
/// either whom the issuer names or for which accounts it speaks; see [`IssuerError`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct TrustedIssuer {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are: a JWK set.
    pub jwks: String,
    /// A file with the certificates (PEM) that vouch for that address, instead of the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// What its tokens must be meant for; without it, what all must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Algorithms of its keys; without one, all that are known here.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub algorithms: BTreeSet<Algorithm>,
    /// Whom it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Names>,
    /// The service accounts that it speaks for, and no others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountRule>,
}

/// How the claims of an issuer name principals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// It speaks for principals at home here or below.
    pub tenant: TenantPath,
    /// It speaks for principals of these kinds.
    pub kinds: BTreeSet<PrincipalKind>,
    /// The claim that is the name.
    #[serde(default = "sub")]
    pub name: String,
    /// The claim that says where they are at home; without it, all are in `tenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_claim: Option<String>,
    /// The claim that says of which kind they are; without it, `kinds` is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind_claim: Option<String>,
    /// Claims that must say exactly this; `true` and `false` also without quotes in the token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub require: BTreeMap<String, String>,
}

fn sub() -> String {
    "sub".to_owned()
}

/// A service account, and which tokens are its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRule {
    /// Where the account is at home.
    pub tenant: TenantPath,
    /// Its name.
    pub name: PrincipalId,
    /// What the claims of a token must all say, exactly; `ref` and `workflow_ref` may end in `*`.
    pub claims: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    issuer: String,
    jwks: String,
    #[serde(default)]
    ca: Option<String>,
    #[serde(default)]
    audience: Option<String>,
    #[serde(default)]
    algorithms: BTreeSet<Algorithm>,
    #[serde(default)]
    names: Option<Names>,
    #[serde(default)]
    accounts: Vec<AccountRule>,
}

/// An issuer that cannot be trusted as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// The name is no URI, or one of cku's own.
    #[error("`issuer` is `{0}`; write the `iss` of its tokens, a URI like `https://id.acme.example`")]
    Issuer(String),
    /// Keys would come over a way that others can change.
    #[error(
        "`jwks` is `{0}`; write an address with `https://`, `http://` on this machine alone, or a file with its whole path"
    )]
    Address(String),
    /// The file of its certificates would be another one from elsewhere.
    #[error("`ca` is `{0}`; write the whole path of a file in PEM")]
    Authority(String),
    /// It names nobody.
    #[error("write either `names` (whom it names) or `accounts` (the service accounts it speaks for)")]
    Nobody,
    /// Everybody on GitHub would be somebody here.
    #[error(
        "everybody can get tokens of `{GITHUB}`; declare `accounts`, each with `repository` or `repository_id`"
    )]
    Anybody,
    /// Something about whom it names cannot be used.
    #[error("`names`: {0}")]
    Names(&'static str),
    /// A declared account cannot be used.
    #[error("the account `{name}` of {tenant}: {why}")]
    Account {
        /// Which.
        name: PrincipalId,
        /// Where.
        tenant: TenantPath,
        /// Why not.
        why: String,
    },
}

impl TryFrom<Written> for TrustedIssuer {
    type Error = IssuerError;

    fn try_from(written: Written) -> Result<Self, IssuerError> {
        let Written { issuer, jwks, ca, audience, algorithms, names, accounts } = written;
        let read = Self { issuer, jwks, ca, audience, algorithms, names, accounts };
        read.check().map(|()| read)
    }
}

impl TrustedIssuer {
    fn check(&self) -> Result<(), IssuerError> {
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let is_uri =
            self.issuer.starts_with("urn:") || (self.issuer.starts_with("http") && may_be_read(&self.issuer));
        if !visible(&self.issuer) || !is_uri || self.issuer == ACCOUNTS {
            return Err(IssuerError::Issuer(shown(&self.issuer)));
        }
        if !visible(&self.jwks) || !may_be_read(&self.jwks) {
            return Err(IssuerError::Address(shown(&self.jwks)));
        }
        if let Some(file) = self.ca.as_ref().filter(|file| !file.starts_with('/')) {
            return Err(IssuerError::Authority(shown(file)));
        }
        if self.names.is_some() != self.accounts.is_empty() {
            return Err(IssuerError::Nobody);
        }
        // An enterprise has one of its own below, and everybody in it gets tokens there.
        let github =
            self.issuer.strip_prefix(GITHUB).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if github && self.names.is_some() {
            return Err(IssuerError::Anybody);
        }
        if let Some(names) = &self.names {
            names.check()?;
        }
        for (at, account) in self.accounts.iter().enumerate() {
            let unfit = |why: String| {
                let AccountRule { name, tenant, .. } = account.clone();
                Err(IssuerError::Account { name, tenant, why })
            };
            if account.claims.is_empty() {
                return unfit("declare what its tokens say, in `claims`".to_owned());
            }
            if github && !["repository", "repository_id"].iter().any(|c| account.claims.contains_key(*c)) {
                return Err(IssuerError::Anybody);
            }
            for (claim, value) in &account.claims {
                let open = value.strip_suffix('*').filter(|_| OPEN_ENDED.contains(&claim.as_str()));
                if value.is_empty() || open.unwrap_or(value).contains('*') {
                    let open = OPEN_ENDED.join("`, `");
                    return unfit(format!(
                        "`{}` is `{}`; write its whole value (only `{open}` may end in `*`)",
                        shown(claim),
                        shown(value)
                    ));
                }
            }
            if self.accounts.iter().skip(at + 1).any(|other| other.claims == account.claims) {
                return unfit("another account has the same `claims`".to_owned());
            }
        }
        Ok(())
    }

    /// For whom its keys may speak at most: a tenant and below, and kinds.
    pub(crate) fn reach(&self) -> (TenantPath, BTreeSet<PrincipalKind>) {
        match &self.names {
            Some(names) => (names.tenant.clone(), names.kinds.clone()),
            None => (TenantPath::root(), [PrincipalKind::ServiceAccount].into()),
        }
    }

    /// Accounts that nothing but a name that others can take ties to their tokens: the claims that should be
    /// there beside.
    pub fn loose(&self) -> Vec<&AccountRule> {
        let fixed = ["repository_id", "repository_owner_id", "project_id", "namespace_id"];
        let loose = |account: &&AccountRule| !fixed.iter().any(|claim| account.claims.contains_key(*claim));
        self.accounts.iter().filter(loose).collect()
    }

    /// Who a token is from, by its verified claims.
    pub(crate) fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, TokenError> {
        match &self.names {
            Some(names) => names.principal(claims),
            None => self.account(claims),
        }
    }

    fn account(&self, claims: &Map<String, Value>) -> Result<Principal, TokenError> {
        let mut found: Option<&AccountRule> = None;
        for account in self.accounts.iter().filter(|account| account.matches(claims)) {
            let same = |other: &AccountRule| (&other.tenant, &other.name) == (&account.tenant, &account.name);
            if found.is_some_and(|found| !same(found)) {
                return Err(self.unmapped(claims, "more than one account is declared"));
            }
            found = Some(account);
        }
        let account = found.ok_or_else(|| self.unmapped(claims, "no account is declared"))?;
        let AccountRule { tenant, name, .. } = account.clone();
        Ok(Principal { kind: PrincipalKind::ServiceAccount, id: name, tenant })
    }

    /// What the token says, as far as declarations ask for it.
    fn unmapped(&self, claims: &Map<String, Value>, why: &'static str) -> TokenError {
        let asked: BTreeSet<&str> =
            self.accounts.iter().flat_map(|account| account.claims.keys().map(String::as_str)).collect();
        let said = asked.iter().map(|claim| match claims.get(*claim) {
            Some(Value::String(value)) => format!("{} `{}`", shown(claim), shown(value)),
            Some(_) => format!("{} that is no text", shown(claim)),
            None => format!("no {}", shown(claim)),
        });
        let said = said.collect::<Vec<_>>().join(", ");
        TokenError::Unmapped { issuer: self.issuer.clone(), why, said }
    }
}

impl Names {
    fn check(&self) -> Result<(), IssuerError> {
        if self.kinds.is_empty() {
            return Err(IssuerError::Names("`kinds` is empty; write `user`, `service_account` or `agent`"));
        }
        if self.kind_claim.is_none() && self.kinds.len() > 1 {
            return Err(IssuerError::Names(
                "with several `kinds`, write in `kind_claim` which claim says the kind",
            ));
        }
        let claims = [Some(&self.name), self.tenant_claim.as_ref(), self.kind_claim.as_ref()];
        if claims.into_iter().flatten().chain(self.require.keys()).any(String::is_empty) {
            return Err(IssuerError::Names("the name of a claim is empty"));
        }
        Ok(())
    }

    fn principal(&self, claims: &Map<String, Value>) -> Result<Principal, TokenError> {
        for (claim, wanted) in &self.require {
            // `email_verified` and the like are true or false, without quotes.
            let is = match claims.get(claim) {
                Some(Value::Bool(said)) => said.to_string() == *wanted,
                _ => text(claims, claim)? == wanted,
            };
            if !is {
                return Err(unfit(claim, format!("is not `{}`", shown(wanted))));
            }
        }
        let id = text(claims, &self.name)?;
        let id = id.parse().map_err(|e| unfit(&self.name, format!("is unfit: {e}")))?;
        let tenant = match &self.tenant_claim {
            None => self.tenant.clone(),
            Some(claim) => {
                let tenant = text(claims, claim)?;
                tenant.parse().map_err(|e| unfit(claim, format!("is unfit: {e}")))?
            }
        };
        let kind = match (&self.kind_claim, self.kinds.first()) {
            (Some(claim), _) => kind(text(claims, claim)?)
                .ok_or_else(|| unfit(claim, "is not `user`, `service_account` or `agent`".to_owned()))?,
            (None, Some(only)) => *only,
            (None, None) => return Err(unfit("kind", "is not known".to_owned())),
        };
        Ok(Principal { kind, id, tenant })
    }
}

impl AccountRule {
    fn matches(&self, claims: &Map<String, Value>) -> bool {
        self.claims.iter().all(|(claim, wanted)| {
            let Some(Value::String(said)) = claims.get(claim) else { return false };
            match wanted.strip_suffix('*') {
                Some(begin) => said.starts_with(begin),
                None => said == wanted,
            }
        })
    }
}

/// A kind, as claims write it.
pub(crate) fn kind(text: &str) -> Option<PrincipalKind> {
    match text {
        "user" => Some(PrincipalKind::User),
        "service_account" => Some(PrincipalKind::ServiceAccount),
        "agent" => Some(PrincipalKind::Agent),
        _ => None,
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<&'c str, TokenError> {
    match claims.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(unfit(name, "is no text".to_owned())),
        None => Err(unfit(name, "is missing".to_owned())),
    }
}

fn unfit(name: &str, problem: String) -> TokenError {
    TokenError::Claim { name: shown(name), problem }
}

/// Whether keys may be read there: what others can change on the way is no place for them.
fn may_be_read(address: &str) -> bool {
    match address.split_once("://") {
        Some(("https", rest)) => !host(rest).is_empty(),
        Some(("http", rest)) => is_loopback(host(rest)),
        Some(_) => false,
        None => address.starts_with('/'),
    }
}

/// The host of what follows the scheme; empty where there is somebody's name and password before it.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if authority.contains('@') {
        return "";
    }
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The beginning of a text from outside.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_debug).collect()
}
