//! Every refusal at load, one bundle each: what is said, where, and what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use cku_engine::{Bundle, Sources};

/// A bundle that loads; each case replaces or adds one file.
const GOOD: [(&str, &str); 6] = [
    (
        "bundle.yaml",
        "name: small\nmodes: [dev, prod]\nroles: {reviewer: reviewers}\ntargets: {service: Service}\n",
    ),
    ("size.rego", "package size\n\nimport rego.v1\n\nlines := input.submission.lines\n"),
    (
        "size.gate",
        "gate size \"How large?\" {\n  facts from data.size { lines: count }\n  require access run:create\n  \
         pause large: when lines > 100 because \"{lines} lines\"\n}\n\
         mode dev { size }\nmode prod { size override by reviewer }\n",
    ),
    (
        "access.cedarschema",
        "entity Role in [Role];\nentity Tenant in [Tenant] { reviewers: Role };\n\
         entity User in [Role] { name: String, tenant: Tenant };\n\
         entity Run { tenant: Tenant, authors: Set<String> };\nentity Service { tenant: Tenant, tier?: Long };\n\
         action \"run:create\" appliesTo { principal: [User], resource: [Run] };\n\
         action \"run:touch\" appliesTo { principal: [User], resource: [Service] };\n",
    ),
    ("access.cedar", "@id(\"anyone\")\npermit (principal, action, resource);\n"),
    ("data/entities.yaml", "service:\n  acme/api: {tier: 1}\n"),
];

fn load(changes: &[(&str, &str)]) -> String {
    let kept = GOOD.iter().filter(|(path, _)| !changes.iter().any(|(changed, _)| changed == path));
    let files = kept.chain(changes).filter(|(_, text)| *text != "(removed)");
    match Bundle::from_sources(Sources::from_files(files.map(|(p, t)| (*p, *t)))) {
        Ok(bundle) => bundle.warnings().iter().map(|w| format!("{w}\n")).collect::<String>() + "loads\n",
        Err(error) => error.diagnostics.iter().map(|d| format!("{d}\n")).collect(),
    }
}

#[test]
fn the_bundle_that_the_cases_start_from_loads() {
    assert_eq!(load(&[]), "loads\n");
}

#[test]
fn each_kind_of_file_with_each_kind_of_error() {
    let deep = format!("package deep\nx := {}1{}\n", "[".repeat(65), "]".repeat(65));
    let deep_cedar = format!(
        "@id(\"deep\")\npermit (principal, action, resource) when {{ {}true{} }};\n",
        "(".repeat(200),
        ")".repeat(200)
    );
    let chain: String = (0..150).map(|n| format!("r{n} := r{}\n\n", n + 1)).collect();
    let chain = format!("package chain\n\n{chain}r150 := 1\n");
    let sum = format!("package sum\n\nx := 1{}\n", " + 1".repeat(300));
    let conditions = format!(
        "@id(\"x\")\npermit (principal, action, resource) when {{ true{} }};\n",
        " && true".repeat(300)
    );
    let namespaced = GOOD[3].1.replace("action \"run:touch\"", "namespace A { entity U; entity R; action \"run:create\" appliesTo { principal: [U], resource: [R] }; }\naction \"run:touch\"");
    let wanting = GOOD[3]
        .1
        .replace("resource: [Run] }", "resource: [Run], context: { mode: String, ticket: String } }");
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("manifest: absent", vec![("bundle.yaml", "(removed)")]),
        ("manifest: not YAML", vec![("bundle.yaml", "name: [small\n")]),
        ("manifest: unknown member", vec![("bundle.yaml", "name: x\nmodes: [dev, prod]\nmdoes: [x]\n")]),
        ("manifest: duplicate key", vec![("bundle.yaml", "name: x\nname: y\nmodes: [dev, prod]\n")]),
        ("manifest: no modes", vec![("bundle.yaml", "name: x\nmodes: []\n")]),
        ("manifest: a mode twice", vec![("bundle.yaml", "name: x\nmodes: [dev, dev]\n")]),
        ("manifest: no such version", vec![("bundle.yaml", "name: x\ncku: '>=99'\nmodes: [dev, prod]\n")]),
        ("manifest: not a version", vec![("bundle.yaml", "name: x\ncku: newest\nmodes: [dev, prod]\n")]),
        ("manifest: limit of zero", vec![("bundle.yaml", "name: x\nmodes: [dev]\nlimits: {time_ms: 0}\n")]),
        ("file of no known kind", vec![("size.reg", "package x\n")]),
        ("file where compiled ones go", vec![("compiled/x.rego", "package x\n")]),
        ("data: not YAML", vec![("data/x.yaml", "a: [1\n")]),
        ("data: duplicate key", vec![("data/x.json", "{\"a\": 1, \"a\": 2}")]),
        ("data: two files for one path", vec![("data/x.yaml", "y: 1\n"), ("data/x/y.yaml", "z: 1\n")]),
        ("data: over a rule", vec![("data/size.yaml", "lines: 0\n")]),
        ("data: above a rule", vec![("data/size.yaml", "[1]\n")]),
        ("data: entity of an unmapped kind", vec![("data/entities.yaml", "servise:\n  acme/api: {}\n")]),
        ("data: entity without a tenant", vec![("data/entities.yaml", "service:\n  api: {}\n")]),
        (
            "data: entity that the schema refuses",
            vec![("data/entities.yaml", "service:\n  acme/api: {teir: 1}\n")],
        ),
        ("rego: syntax", vec![("size.rego", "package size\n\nlines := input.submission.\n")]),
        ("rego: nesting", vec![("deep.rego", &deep)]),
        (
            "rego: a rule that depends on itself",
            vec![("loop.rego", "package loop\n\na := b\n\nb := data.loop.c\n\nc := a\n")],
        ),
        (
            "rego: a function that calls itself",
            vec![("loop.rego", "package loop\n\nf(x) := f(x - 1) if x > 0\n")],
        ),
        (
            "rego: a cycle through a computed path",
            vec![("loop.rego", "package loop\n\na := {n | some n; data.loop[n]}\n")],
        ),
        (
            "rego: a local variable is no cycle",
            vec![(
                "fine.rego",
                "package fine\n\na := b(1)\n\nb(a) := a\n\nc := [x | some x in input.list; x > a]\n",
            )],
        ),
        ("rego: missing built-in", vec![("size.rego", "package size\n\nlines := coutn(input.x)\n")]),
        (
            "rego: built-in of OPA that is not here",
            vec![("size.rego", "package size\n\nlines := io.jwt.decode(input.x)\n")],
        ),
        ("rego: clock", vec![("size.rego", "package size\n\nlines := time.now_ns()\n")]),
        ("rego: network", vec![("size.rego", "package size\n\nlines := http.send({}).status\n")]),
        ("rego: chance", vec![("size.rego", "package size\n\nlines := rand.intn(\"x\", 7)\n")]),
        (
            "rego: outside the roots",
            vec![(
                "bundle.yaml",
                "name: x\nmodes: [dev, prod]\nroles: {reviewer: reviewers}\ntargets: {service: Service}\nroots: [cku, other]\n",
            )],
        ),
        ("rego: poses as compiled facts", vec![("pose.rego", "package cku.facts.size\n\ncollected := {}\n")]),
        ("rego: a second sequence", vec![("pose.rego", "package cku\n\nsequence := {}\n")]),
        (
            "rego: a cycle through a computed head",
            vec![(
                "loop.rego",
                "package loop\n\np[x] := v if some x, v in {\"foo\": q}\n\nq := data.loop.p.foo\n",
            )],
        ),
        (
            "rego: a cycle through a name that an import has",
            vec![("loop.rego", "package loop\n\nimport rego.v1\n\np if v1\n\nv1 if p\n")],
        ),
        (
            "rego: a cycle through a name assigned to itself",
            vec![("loop.rego", "package loop\n\np if {\n\tq := q\n\tq > 1\n}\n\nq := 1 if p\n")],
        ),
        ("rego: a chain of rules", vec![("chain.rego", &chain)]),
        ("rego: a long expression", vec![("sum.rego", &sum)]),
        (
            "rego: data over a rule with a computed key",
            vec![
                ("d.rego", "package d\n\ndenied[x] := true if some x in [\"evil\"]\n"),
                ("data/d/denied.json", "{\"evil\": false}"),
            ],
        ),
        (
            "rego: a call that leads nowhere",
            vec![("size.rego", "package size\n\nlines := data.sise.count(1)\n")],
        ),
        (
            "rego: a reference that leads nowhere",
            vec![("size.rego", "package size\n\nlines := 1 if not data.sise.denied\n")],
        ),
        (
            "rego: roots and gates",
            vec![(
                "bundle.yaml",
                "name: x\nmodes: [dev, prod]\nroles: {reviewer: reviewers}\ntargets: {service: Service}\nroots: [size]\n",
            )],
        ),
        ("gate: syntax", vec![("size.gate", "gate size {\n")]),
        ("gate: a fact that no rule defines", vec![("size.rego", "package size\n\nline := 1\n")]),
        (
            "gate: decides by a rule that is not there",
            vec![
                (
                    "size.gate",
                    "gate size \"x\" { decide by rego data.size.decison }\nmode dev { size }\nmode prod { size }\n",
                ),
                ("size.rego", "package size\n\ndecision := {}\n"),
            ],
        ),
        (
            "gate: an access action that is not there",
            vec![(
                "size.gate",
                "gate size \"x\" { require access run:creat }\nmode dev { size }\nmode prod { size }\n",
            )],
        ),
        (
            "gate: a role that is not there",
            vec![(
                "size.gate",
                "gate size \"x\" { require access run:create }\nmode dev { size }\nmode prod { size override by reviewers }\n",
            )],
        ),
        (
            "gate: no mode blocks and no sequence",
            vec![("size.gate", "gate size \"x\" { require access run:create }\n")],
        ),
        (
            "sequence: written in Rego",
            vec![
                ("size.gate", "gate size \"x\" { require access run:create }\n"),
                (
                    "order.rego",
                    "package cku\n\nsequence[mode] := [{\"gate\": \"size\", \"enforcement\": \"enforce\", \"barrier\": false}] if some mode in [\"dev\", \"prod\"]\n",
                ),
            ],
        ),
        (
            "sequence: depends on the input",
            vec![
                ("size.gate", "gate size \"x\" { require access run:create }\n"),
                ("order.rego", "package cku\n\nsequence := {\"dev\": [], \"prod\": []} if input.quick\n"),
            ],
        ),
        (
            "sequence: written in Rego, with a role that is not there",
            vec![
                ("size.gate", "gate size \"x\" { require access run:create }\n"),
                (
                    "order.rego",
                    "package cku\n\nsequence[mode] := [{\"gate\": \"size\", \"enforcement\": \"enforce\", \"barrier\": false, \"override\": \"anyone\"}] if some mode in [\"dev\", \"prod\"]\n",
                ),
            ],
        ),
        (
            "sequence: decided by the input through a computed head",
            vec![
                ("size.gate", "gate size \"x\" { require access run:create }\n"),
                (
                    "order.rego",
                    "package cku\n\nsequence := {\"dev\": data.cku.steps.dev, \"prod\": []}\n\nsteps[m] := [{\"gate\": \"size\", \"enforcement\": e, \"barrier\": false}] if {\n\tsome m in [\"dev\"]\n\te := \"advise\"\n\tnot input.strict\n}\n",
                ),
            ],
        ),
        ("cedar: a long expression", vec![("access.cedar", &conditions)]),
        ("cedar: syntax", vec![("access.cedar", "@id(\"x\")\npermit (principal, action resource);\n")]),
        ("cedar: nesting", vec![("access.cedar", &deep_cedar)]),
        (
            "cedar: no id",
            vec![(
                "access.cedar",
                "@id(\"x\")\npermit (principal, action, resource);\npermit (principal, action, resource);\n",
            )],
        ),
        (
            "cedar: an id twice",
            vec![(
                "access.cedar",
                "@id(\"x\")\npermit (principal, action, resource);\n@id(\"x\")\nforbid (principal, action, resource);\n",
            )],
        ),
        (
            "cedar: an id twice in two files",
            vec![("more.cedar", "@id(\"anyone\")\npermit (principal, action, resource);\n")],
        ),
        (
            "cedar: a template",
            vec![("access.cedar", "@id(\"x\")\npermit (principal == ?principal, action, resource);\n")],
        ),
        (
            "cedar: an attribute that is not there",
            vec![(
                "access.cedar",
                "@id(\"x\")\npermit (principal, action, resource) when { resource.tenat == principal.tenant };\n",
            )],
        ),
        (
            "cedar: an optional attribute without `has`",
            vec![(
                "access.cedar",
                "@id(\"x\")\npermit (principal, action == Action::\"run:touch\", resource) when { resource.tier > 0 };\n",
            )],
        ),
        (
            "cedar: an action that is not there",
            vec![(
                "access.cedar",
                "@id(\"x\")\npermit (principal, action == Action::\"run:touhc\", resource);\n",
            )],
        ),
        (
            "cedar: never true",
            vec![("access.cedar", "@id(\"x\")\npermit (principal, action, resource) when { false };\n")],
        ),
        ("schema: two actions of one name", vec![("access.cedarschema", &namespaced)]),
        ("schema: a context that nobody gives", vec![("access.cedarschema", &wanting)]),
        (
            "manifest: a role that the schema does not have",
            vec![(
                "bundle.yaml",
                "name: x\nmodes: [dev, prod]\nroles: {reviewer: reviwers}\ntargets: {service: Service}\n",
            )],
        ),
        ("data: entities that are a list", vec![("data/entities.yaml", "service: [acme/api]\n")]),
        ("schema: syntax", vec![("access.cedarschema", "entity User in [Role\n")]),
        ("schema: absent", vec![("access.cedarschema", "(removed)")]),
        ("schema: two", vec![("second.cedarschema", "entity User;\n")]),
        (
            "all files at once",
            vec![
                ("size.rego", "package size\n\nlines := coutn(1)\n"),
                ("size.gate", "gate size {"),
                ("access.cedar", "permit"),
                ("data/x.json", "{"),
            ],
        ),
    ];
    let shown: String =
        cases.iter().map(|(name, changes)| format!("## {name}\n{}\n", load(changes))).collect();
    insta::assert_snapshot!(shown);
}

mod mutated {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        /// Whatever happens to a file, loading ends with a bundle or with diagnostics.
        #[test]
        fn files_never_panic_the_loader(
            file in 0..GOOD.len(),
            cut in any::<prop::sample::Index>(),
            insert in "[\\PC\n]{0,6}",
            remove in 0usize..12,
        ) {
            let (path, text) = GOOD[file];
            let mut start = cut.index(text.len() + 1);
            while !text.is_char_boundary(start) { start -= 1; }
            let mut end = (start + remove).min(text.len());
            while !text.is_char_boundary(end) { end -= 1; }
            let changed = format!("{}{insert}{}", &text[..start], &text[end.max(start)..]);
            let shown = load(&[(path, &changed)]);
            prop_assert!(!shown.is_empty());
            prop_assert!(!shown.contains("B009") && !shown.contains("C008"), "{}", shown);
        }
    }
}

const LEARNED: &str = "gate size \"How large?\" {\n  facts from data.size { lines: count }\n  \
                       threshold most: count = 100 in 10..500 step 10 stricter down learn\n  \
                       pause large: when lines > most because \"{lines} lines\"\n}\n\
                       mode dev { size }\nmode prod { size override by reviewer }\n";

/// The bundle with a threshold that is learned, and settings of the learner.
fn load_learner(settings: &str) -> String {
    load(&[("size.gate", LEARNED), ("data/cku/learner.yaml", settings)])
}

#[test]
fn settings_of_exploration_are_read_from_the_general_to_the_single_threshold() {
    let settings = "defaults: {exploration_rate: 3000, budget: 500}\nmodes: {prod: {exploration_rate: 0}}\n\
                    thresholds: {size.most: {exploration_bands: 2, exploration_cap: 7}}\n";
    assert_eq!(load_learner(settings), "loads\n");
    assert_eq!(load_learner("anything: {else: 7}\n"), "loads\n");
    let of = |settings: Option<&str>, mode: &str, threshold: &str| {
        let kept = GOOD.iter().copied().filter(|(path, _)| *path != "size.gate");
        let learner = settings.map(|settings| ("data/cku/learner.yaml", settings));
        let files = kept.chain([("size.gate", LEARNED)]).chain(learner);
        let bundle = Bundle::from_sources(Sources::from_files(files)).unwrap();
        assert!(bundle.reach().paths.contains(&vec!["cku".to_owned(), "learner".to_owned()]));
        let found = bundle.exploration().of(mode, "size", threshold);
        (found.rate.get(), found.bands, found.cap)
    };
    assert_eq!(of(None, "dev", "most"), (0, 20, 100));
    assert_eq!(of(Some(settings), "dev", "other"), (3_000, 20, 100));
    assert_eq!(of(Some(settings), "dev", "most"), (3_000, 2, 7));
    assert_eq!(of(Some(settings), "prod", "most"), (0, 2, 7));
    let last = "modes: {prod: {exploration_rate: 0}}\nthresholds: {size.most: {exploration_rate: 9}}\n";
    assert_eq!(of(Some(last), "prod", "most"), (9, 20, 100), "a threshold has the last word");
}

#[test]
fn settings_of_exploration_that_cannot_be_read_are_refused() {
    for (settings, said) in [
        (
            "defaults: {exploration_rate: 0.3}",
            "`data.cku.learner.defaults.exploration_rate` cannot be read: 0.3",
        ),
        (
            "defaults: {exploration_rate: 10001}",
            "`data.cku.learner.defaults.exploration_rate` cannot be read: 10001",
        ),
        (
            "defaults: {exploration_rate: \"3000\"}",
            "`data.cku.learner.defaults.exploration_rate` cannot be read: \"3000\"",
        ),
        (
            "modes: {prod: {exploration_cap: -1}}",
            "`data.cku.learner.modes.prod.exploration_cap` cannot be read: -1",
        ),
        (
            "defaults: {exploration_bands: 0}",
            "`data.cku.learner.defaults.exploration_bands` cannot be read: 0",
        ),
        (
            "defaults: {exploration_bands: 33}",
            "`data.cku.learner.defaults.exploration_bands` cannot be read: 33",
        ),
        ("modes: {prd: {exploration_rate: 0}}", "`data.cku.learner.modes` names no mode: `prd`"),
        (
            "thresholds: {size.mots: {exploration_rate: 0}}",
            "`data.cku.learner.thresholds` names no threshold that is learned: `size.mots`",
        ),
        ("defaults: {exploration_rat: 1}", "`data.cku.learner.defaults` has no `exploration_rat`"),
        ("exploration_rate: 1", "`exploration_rate` stands directly in `data.cku.learner`"),
        ("defaults: 7", "`data.cku.learner.defaults` is no object"),
        ("7", "`data.cku.learner` is no object"),
    ] {
        let found = load_learner(settings);
        assert!(found.contains("B013") && found.contains(said), "{settings}: {found}");
        assert!(found.contains("data/cku/learner.yaml"), "{found}");
        assert_eq!(found.matches("B013").count(), 1, "{found}");
    }
}
