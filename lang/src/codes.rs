//! The codes of the diagnostics. A code never changes its meaning and is never used again.

/// The text does not follow the grammar.
pub const SYNTAX: &str = "G001";
/// The file or an expression in it is larger or nested deeper than the language allows.
pub const TOO_LARGE: &str = "G002";
/// A reserved word cannot be a name.
pub const RESERVED: &str = "G003";
/// The same thing is declared twice.
pub const DUPLICATE: &str = "G004";
/// No fact or threshold has this name.
pub const UNKNOWN_NAME: &str = "G005";
/// The bundle has no such mode.
pub const UNKNOWN_MODE: &str = "G006";
/// There is no such type.
pub const UNKNOWN_TYPE: &str = "G007";
/// The bundle has no such gate.
pub const UNKNOWN_GATE: &str = "G008";
/// A value is of another type than its threshold.
pub const WRONG_LITERAL: &str = "G009";
/// A literal is none of any type: unknown unit, too many decimals, outside its type's domain.
pub const BAD_LITERAL: &str = "G010";
/// Two types are compared.
pub const TWO_TYPES: &str = "G011";
/// The operator does not work on this type.
pub const WRONG_OPERATOR: &str = "G012";
/// Comparisons are chained.
pub const CHAINED: &str = "G013";
/// Something other than a `bool` stands where one is needed.
pub const NOT_BOOL: &str = "G014";
/// A threshold is not a number.
pub const THRESHOLD_TYPE: &str = "G015";
/// A value lies outside its threshold's range.
pub const OUT_OF_RANGE: &str = "G016";
/// A value does not lie on its threshold's step grid.
pub const OFF_GRID: &str = "G017";
/// `learn` stands without range, step or direction.
pub const LEARN_NEEDS: &str = "G018";
/// A range is empty, or a step does not divide it.
pub const BAD_RANGE: &str = "G019";
/// A rule contradicts the direction in which its threshold is said to be stricter.
pub const DIRECTION: &str = "G020";
/// A message has a placeholder that is no fact or threshold, or is not closed.
pub const PLACEHOLDER: &str = "G021";
/// A sequence misses a gate, or a mode has no sequence.
pub const INCOMPLETE: &str = "G022";
/// Words that exclude each other stand together.
pub const CONTRADICTION: &str = "G023";
/// A gate has nothing that could stop a run.
pub const ASKS_NOTHING: &str = "G025";
/// A path does not lead to a Rego rule.
pub const BAD_PATH: &str = "G026";
/// The bundle declares no modes.
pub const NO_MODES: &str = "G027";
/// A rule reads no fact.
pub const NO_FACT: &str = "G028";
/// Access is asked on a fact that names no targets.
pub const ACCESS_FACT: &str = "G029";

/// Warning: no rule reads this threshold.
pub const UNUSED_THRESHOLD: &str = "G101";
/// Warning: a comparison has the same answer for every value of its fact.
pub const CONSTANT: &str = "G102";
/// Warning: a `reject` rule reads a fact whose absence only pauses, so that leaving it out helps.
pub const WEAKER_MISSING: &str = "G103";
/// Warning: a rule fires for no run, whatever its facts are.
pub const NEVER_FIRES: &str = "G104";
/// Warning: a rule fires for every run that has its facts.
pub const ALWAYS_FIRES: &str = "G105";
/// Warning: whenever a rule fires, another fires that is at least as strict.
pub const SHADOWED: &str = "G106";
/// Warning: nothing reads this fact.
pub const UNUSED_FACT: &str = "G107";
/// Warning: a threshold is learned, but no rule compares it with a fact.
pub const NOTHING_TO_LEARN: &str = "G108";
