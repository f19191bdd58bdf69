//! The rules of a run: their names, texts and configured levels.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{At, EvidenceError, Fault, Level};

/// The rules of the driver and of the extensions, and what the invocations override.
pub(super) struct Rules<'v> {
    /// By component (0 is the driver, then the extensions), then by index.
    components: Vec<Vec<&'v Value>>,
    /// (component, id) -> index, to find a rule without an index.
    by_id: BTreeMap<(usize, &'v str), usize>,
    /// (invocation, component, index) -> level.
    overrides: BTreeMap<(usize, usize, usize), Level>,
    /// (component, index) -> level the rule configures.
    levels: BTreeMap<(usize, usize), Level>,
}

/// What a run says about the rule of a result.
pub(super) struct Rule<'v> {
    /// The id; none if the result names no rule.
    pub(super) id: Option<&'v str>,
    /// The level results of this rule have if they say none.
    pub(super) level: Option<Level>,
    descriptor: Option<&'v Value>,
}

impl<'v> Rules<'v> {
    /// Gathers the rules of `run`.
    pub(super) fn of(run: &At<'_, 'v>) -> Result<Self, EvidenceError> {
        let tool = run.required("tool")?;
        let mut rules = Self {
            components: Vec::new(),
            by_id: BTreeMap::new(),
            overrides: BTreeMap::new(),
            levels: BTreeMap::new(),
        };
        let components = [tool.required("driver")?].into_iter().chain(tool.optional_items("extensions")?);
        for (component, at) in components.enumerate() {
            let mut descriptors = Vec::new();
            for (index, descriptor) in at.optional_items("rules")?.iter().enumerate() {
                let id = descriptor.required("id")?.text()?;
                rules.by_id.entry((component, id)).or_insert(index);
                let level = descriptor.member("defaultConfiguration").and_then(|c| c.member("level"));
                if let Some(level) = level {
                    rules.levels.insert((component, index), level.level()?);
                }
                descriptors.push(descriptor.value);
            }
            rules.components.push(descriptors);
        }
        for (invocation, at) in run.optional_items("invocations")?.iter().enumerate() {
            for changed in at.optional_items("ruleConfigurationOverrides")? {
                let level = changed.member("configuration").and_then(|c| c.member("level"));
                let found = rules.resolve(&changed.required("descriptor")?, None)?;
                if let (Some(level), Some((component, index))) = (level, found) {
                    rules.overrides.insert((invocation, component, index), level.level()?);
                }
            }
        }
        Ok(rules)
    }

    /// The rule of a result: by `rule`, `ruleIndex` or `ruleId` (3.27.5 to 3.27.7).
    pub(super) fn find(&self, result: &At<'_, 'v>) -> Result<Rule<'v>, EvidenceError> {
        let found = match result.member("rule") {
            Some(rule) => self.resolve(&rule, Some(result))?,
            None => self.resolve(result, None)?,
        };
        let Some((component, index)) = found else {
            let id =
                result.member("rule").and_then(|rule| rule.member("id")).and_then(|id| id.value.as_str());
            return Ok(Rule { id, level: None, descriptor: None });
        };
        let invocation = result.member("provenance").and_then(|p| p.member("invocationIndex"));
        let invocation = invocation.and_then(|index| usize::try_from(index.value.as_u64()?).ok());
        let changed = invocation.and_then(|i| self.overrides.get(&(i, component, index)));
        let descriptor = self.components.get(component).and_then(|rules| rules.get(index)).copied();
        Ok(Rule {
            id: descriptor.and_then(|descriptor| descriptor.get("id")).and_then(Value::as_str),
            level: changed.or_else(|| self.levels.get(&(component, index))).copied(),
            descriptor,
        })
    }

    /// The component and index that a reference to a rule means, or a result that is its own.
    fn resolve(
        &self,
        reference: &At<'_, 'v>,
        result: Option<&At<'_, 'v>>,
    ) -> Result<Option<(usize, usize)>, EvidenceError> {
        let component = match reference.member("toolComponent").and_then(|c| c.member("index")) {
            // Extensions are counted from 0; the driver has no index.
            Some(index) => usize::try_from(index.count()?).unwrap_or(usize::MAX).saturating_add(1),
            None => 0,
        };
        let either = |name, name_in_result| {
            reference.member(name).or_else(|| result.unwrap_or(reference).member(name_in_result))
        };
        if let Some(at) = either("index", "ruleIndex").filter(|at| at.value != -1) {
            let index = usize::try_from(at.count()?).unwrap_or(usize::MAX);
            let there = self.components.get(component).is_some_and(|rules| index < rules.len());
            return match there {
                true => Ok(Some((component, index))),
                false => Err(at.fail(Fault::Number, format!("no rule has the index {index}"))),
            };
        }
        let Some(id) = either("id", "ruleId") else { return Ok(None) };
        // `CA1000/1` is a part of the rule `CA1000` (3.27.5).
        let mut id = id.text()?;
        loop {
            if let Some(index) = self.by_id.get(&(component, id)) {
                return Ok(Some((component, *index)));
            }
            match id.rsplit_once('/') {
                Some((parent, _)) => id = parent,
                None => return Ok(None),
            }
        }
    }
}

impl Rule<'_> {
    /// The message of a result: its own text, or the rule's with the arguments filled in (3.11).
    pub(super) fn message(&self, result: &At<'_, '_>) -> Result<String, EvidenceError> {
        let message = result.required("message")?;
        message.members()?;
        if let Some(text) = message.member("text").or_else(|| message.member("markdown")) {
            return text.text().map(str::to_owned);
        }
        let id = message.required("id")?.text()?;
        let texts = self.descriptor.and_then(|descriptor| descriptor.get("messageStrings"));
        let template = texts.and_then(|texts| texts.get(id)?.get("text")?.as_str());
        let Some(template) = template else { return Ok(id.to_owned()) };
        let arguments: Result<Vec<&str>, _> =
            message.optional_items("arguments")?.iter().map(|argument| argument.text()).collect();
        Ok(fill(template, &arguments?))
    }
}

/// Puts the arguments where `{0}`, `{1}`, … stand, once: what an argument says is not a template.
///
/// Arguments can be long and stand often, so the text ends where evidence would cut it anyway.
fn fill(template: &str, arguments: &[&str]) -> String {
    const ENOUGH: usize = 4 * 2001;
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{').filter(|_| filled.len() < ENOUGH) {
        filled.push_str(before);
        let argument = behind
            .split_once('}')
            .and_then(|(index, behind)| Some((arguments.get(index.parse::<usize>().ok()?)?, behind)));
        match argument {
            Some((argument, behind)) => {
                filled.push_str(argument);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = behind;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn arguments_are_filled_in_once() {
        assert_eq!(fill("{0} is {1}, not {0}", &["{1}", "x"]), "{1} is x, not {1}");
        assert_eq!(fill("{2} {} { {0", &["x"]), "{2} {} { {0");
    }

    #[test]
    fn arguments_cannot_make_a_text_explode() {
        let long = "x".repeat(10_000);
        let template = "{0}".repeat(10_000);
        assert!(fill(&template, &[&long]).len() <= template.len() + long.len());
    }
}
