//! The codes of the diagnostics. A code never changes its meaning and is never used again.

macro_rules! codes {
    ($($(#[doc = $text:literal])+ $name:ident = $code:literal;)*) => {
        $($(#[doc = $text])+ pub const $name: &str = $code;)*

        /// Every code, with what it means in one sentence.
        pub const ALL: &[(&str, &str)] = &[$(($code, concat!($($text),+).trim_ascii()),)*];
    };
}

codes! {
    /// The text does not follow the grammar.
    SYNTAX = "G001";
    /// The file or an expression in it is larger or nested deeper than the language allows.
    TOO_LARGE = "G002";
    /// A reserved word cannot be a name.
    RESERVED = "G003";
    /// The same thing is declared twice.
    DUPLICATE = "G004";
    /// No fact or threshold has this name.
    UNKNOWN_NAME = "G005";
    /// The bundle has no such mode.
    UNKNOWN_MODE = "G006";
    /// There is no such type.
    UNKNOWN_TYPE = "G007";
    /// The bundle has no such gate.
    UNKNOWN_GATE = "G008";
    /// A value is of another type than its threshold.
    WRONG_LITERAL = "G009";
    /// A literal is none of any type: unknown unit, too many decimals, outside its type's domain.
    BAD_LITERAL = "G010";
    /// Two types are compared.
    TWO_TYPES = "G011";
    /// The operator does not work on this type.
    WRONG_OPERATOR = "G012";
    /// Comparisons are chained.
    CHAINED = "G013";
    /// Something other than a `bool` stands where one is needed.
    NOT_BOOL = "G014";
    /// A threshold is not a number.
    THRESHOLD_TYPE = "G015";
    /// A value lies outside its threshold's range.
    OUT_OF_RANGE = "G016";
    /// A value does not lie on its threshold's step grid.
    OFF_GRID = "G017";
    /// `learn` stands without range, step or direction.
    LEARN_NEEDS = "G018";
    /// A range is empty, or a step does not divide it.
    BAD_RANGE = "G019";
    /// A rule contradicts the direction in which its threshold is said to be stricter.
    DIRECTION = "G020";
    /// A message has a placeholder that is no fact or threshold, or is not closed.
    PLACEHOLDER = "G021";
    /// A sequence misses a gate, or a mode has no sequence.
    INCOMPLETE = "G022";
    /// Words that exclude each other stand together.
    CONTRADICTION = "G023";
    /// A gate has nothing that could stop a run.
    ASKS_NOTHING = "G025";
    /// A path does not lead to a Rego rule.
    BAD_PATH = "G026";
    /// The bundle declares no modes.
    NO_MODES = "G027";
    /// A rule reads no fact.
    NO_FACT = "G028";
    /// Access is asked on a fact that names no targets.
    ACCESS_FACT = "G029";
    /// Warning: no rule reads this threshold.
    UNUSED_THRESHOLD = "G101";
    /// Warning: a comparison has the same answer for every value of its fact.
    CONSTANT = "G102";
    /// Warning: a `reject` rule reads a fact whose absence only pauses, so that leaving it out helps.
    WEAKER_MISSING = "G103";
    /// Warning: a rule fires for no run, whatever its facts are.
    NEVER_FIRES = "G104";
    /// Warning: a rule fires for every run that has its facts.
    ALWAYS_FIRES = "G105";
    /// Warning: whenever a rule fires, another fires that is at least as strict.
    SHADOWED = "G106";
    /// Warning: nothing reads this fact.
    UNUSED_FACT = "G107";
    /// Warning: a threshold is learned, but no rule compares it with a fact.
    NOTHING_TO_LEARN = "G108";
}
