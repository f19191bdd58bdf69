//! From pest's error to a sentence in the words of the language.

use std::collections::BTreeSet;

use cku_base::{diagnostic::Diagnostic, suggest};
use pest::error::{Error, ErrorVariant, InputLocation};

use crate::{ast::Source, codes, parser::grammar::Rule};

/// Says what was expected, what stands there, and which word may have been meant.
pub(crate) fn diagnostic(source: &Source<'_>, text: &str, error: &Error<Rule>) -> Box<Diagnostic> {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let found = found(text, at);
    let place = source.place(&(at..at + found.len()));
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
        let message = "the file takes too long to read";
        return Box::new(Diagnostic::error(codes::TOO_LARGE, message).at(place));
    };
    let expected: BTreeSet<&str> = positives.iter().flat_map(|rule| words(*rule)).copied().collect();
    let list = list(&expected);
    let message = match found {
        "" => format!("expected {list}, found the end of the file"),
        "\n" | "\r" => format!("expected {list}, found the end of the line"),
        found => format!("expected {list}, found `{found}`"),
    };
    let diagnostic = Diagnostic::error(codes::SYNTAX, message).at(place);
    Box::new(match help(&expected, found) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    })
}

/// The word, number or sign at an offset.
fn found(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or("");
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let sign = || {
        let two = ["==", "!=", "<=", ">=", "&&", "||", "..", "//"];
        two.into_iter()
            .find(|sign| rest.starts_with(sign))
            .map_or_else(|| rest.chars().next().map_or(0, char::len_utf8), str::len)
    };
    rest.get(..if word > 0 { word } else { sign() }).unwrap_or("")
}

fn help(expected: &BTreeSet<&str>, found: &str) -> Option<String> {
    let operator = expected.contains(AN_OPERATOR);
    let value = expected.contains(A_VALUE) || expected.contains(A_CONDITION);
    match found {
        "\\" => return Some(r#"in a text, `\"` and `\\` are the only escapes"#.to_owned()),
        "=" if operator => return Some("write `==` to compare".to_owned()),
        "&&" if operator => return Some("write `and`".to_owned()),
        "||" if operator => return Some("write `or`".to_owned()),
        "!" if value => return Some("write `not`".to_owned()),
        "-" if value => return Some("values are not negative".to_owned()),
        "+" | "-" | "*" | "/" | "%" if operator => {
            return Some("there is no arithmetic here: compute a fact in Rego".to_owned());
        }
        "\u{feff}" => return Some("save the file without a byte order mark".to_owned()),
        "#" => return Some("a comment begins with `//`".to_owned()),
        _ if !found.starts_with(char::is_alphabetic) => return None,
        _ => {}
    }
    let keywords = expected.iter().filter_map(|word| word.strip_prefix('`')?.strip_suffix('`'));
    suggest(found, keywords).map(|word| format!("did you mean `{word}`?"))
}

fn list(expected: &BTreeSet<&str>) -> String {
    let words: Vec<&str> = expected.iter().copied().collect();
    match words.as_slice() {
        [] => "something else".to_owned(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

const A_NAME: &str = "a name";
const A_TEXT: &str = "a text in quotes";
const A_VALUE: &str = "a value";
const A_CONDITION: &str = "a condition";
const AN_OPERATOR: &str = "an operator";

/// What an author would write where the grammar tries this rule.
fn words(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::file => &["`gate`", "`mode`"],
        Rule::gate | Rule::kw_gate => &["`gate`"],
        Rule::mode | Rule::kw_mode => &["`mode`"],
        Rule::facts | Rule::kw_facts => &["`facts`"],
        Rule::threshold | Rule::kw_threshold => &["`threshold`"],
        Rule::scoped | Rule::in_modes | Rule::range | Rule::kw_in => &["`in`"],
        Rule::stop_rule => &["`reject`", "`pause`"],
        Rule::missing | Rule::kw_missing => &["`missing`"],
        Rule::access | Rule::kw_require => &["`require`"],
        Rule::kw_access => &["`access`"],
        Rule::decide | Rule::kw_decide => &["`decide`"],
        Rule::by_rego | Rule::kw_rego => &["`rego`"],
        Rule::by_cedar | Rule::kw_cedar => &["`cedar`"],
        Rule::step | Rule::kw_step => &["`step`"],
        Rule::stricter | Rule::kw_stricter => &["`stricter`"],
        Rule::override_by | Rule::kw_override => &["`override`"],
        Rule::kw_from => &["`from`"],
        Rule::kw_set => &["`set`"],
        Rule::kw_of => &["`of`"],
        Rule::kw_when => &["`when`"],
        Rule::kw_because => &["`because`"],
        Rule::kw_on => &["`on`"],
        Rule::kw_by => &["`by`"],
        Rule::reject => &["`reject`"],
        Rule::pause => &["`pause`"],
        Rule::up => &["`up`"],
        Rule::down => &["`down`"],
        Rule::learn => &["`learn`"],
        Rule::fixed => &["`fixed`"],
        Rule::advise => &["`advise`"],
        Rule::barrier => &["`barrier`"],
        Rule::fact | Rule::mode_value | Rule::entry | Rule::ident => &[A_NAME],
        Rule::name => &[A_NAME],
        Rule::type_name | Rule::set_of => &["a type"],
        Rule::path => &["a path"],
        Rule::action => &["an action such as `run:create`"],
        Rule::string | Rule::quote => &[A_TEXT],
        Rule::content | Rule::close_quote => &["`\"`"],
        Rule::literal | Rule::quantity | Rule::number | Rule::yes | Rule::no => &[A_VALUE],
        // Never the only thing expected, and seldom what an author meant to write.
        Rule::unit | Rule::percent_sign | Rule::currency => &[],
        Rule::expression | Rule::group => &[A_CONDITION],
        Rule::not => &["`not`"],
        Rule::or
        | Rule::and
        | Rule::within
        | Rule::contains
        | Rule::equal
        | Rule::not_equal
        | Rule::at_most
        | Rule::less
        | Rule::at_least
        | Rule::greater => &[AN_OPERATOR],
        Rule::open | Rule::by_mode => &["`{`"],
        Rule::close => &["`}`"],
        Rule::left => &["`(`"],
        Rule::right => &["`)`"],
        Rule::colon => &["`:`"],
        Rule::comma => &["`,`"],
        Rule::assign => &["`=`"],
        Rule::dots => &["`..`"],
        Rule::EOI => &["the end of the file"],
        _ => &[],
    }
}
