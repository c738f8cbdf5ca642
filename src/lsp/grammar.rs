//! A TextMate grammar for editors, made from the language's own rows.

use awl_compiler::{agg, builtin, config, probe};
use serde_json::json;

const CONTROL: &[&str] = &["if", "else", "while", "for", "unroll", "return", "break", "continue", "let", "config", "macro", "fn", "import"];
const TYPES: &[&str] = &[
    "struct", "union", "enum", "typedef", "sizeof", "offsetof", "typeof", "bool", "string", "void", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "char", "short", "int", "long", "unsigned", "signed",
];

fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = all.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    format!("\\b({})\\b", all.join("|"))
}

pub fn textmate() -> String {
    let providers = probe::all().flat_map(|p| std::iter::once(p.name).chain(p.aliases.iter().copied()));
    let functions = builtin::all().flat_map(|b| std::iter::once(b.name).chain(b.aliases.iter().copied()));
    let pattern = |name: &str, what: String| json!({ "name": format!("{name}.awl"), "match": what });
    let grammar = json!({
        "name": "awl",
        "scopeName": "source.awl",
        "fileTypes": ["awl", "bt"],
        "firstLineMatch": "^#!.*\\b(awl|bpftrace)\\b",
        "patterns": [
            { "name": "comment.block.awl", "begin": "/\\*", "end": "\\*/" },
            pattern("comment.line.double-slash", "(^|\\s)//.*$".into()),
            pattern("comment.line.shebang", "^#!.*$".into()),
            pattern("meta.preprocessor", "^\\s*#\\s*(include|define|undef|ifdef|ifndef|if|elif|else|endif|error)\\b.*$".into()),
            {
                "name": "string.quoted.double.awl", "begin": "\"", "end": "\"",
                "patterns": [
                    pattern("constant.character.escape", "\\\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)".into()),
                    pattern("constant.other.placeholder", "%[-+ 0#]*[0-9]*(\\.[0-9]+)?[hlzjt]*[a-zA-Z%]".into()),
                ],
            },
            pattern("entity.name.function.probe", format!("{}(?=:|\\s*(/|\\{{|,))", words(providers))),
            pattern("variable.other.map", "@[A-Za-z_0-9]*".into()),
            pattern("variable.other", "\\$([A-Za-z_][A-Za-z_0-9]*|[0-9]+|#)".into()),
            pattern("constant.numeric", "\\b(0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(e[0-9]+)?(ns|us|ms|s|m|h|d)?)\\b".into()),
            pattern("constant.language", words(["true", "false"])),
            pattern("keyword.control", words(CONTROL.iter().copied())),
            pattern("storage.type", words(TYPES.iter().copied())),
            pattern("support.function.aggregation", format!("{}(?=\\s*\\()", words(agg::rows::ROWS.iter().map(|a| a.name)))),
            pattern("support.function", words(functions)),
            pattern("support.constant.setting", words(config::KEYS.iter().map(|k| k.name))),
            pattern("keyword.operator", "->|\\+\\+|--|<<|>>|&&|\\|\\||[-+*/%<>=!&|^~?]=?".into()),
        ],
    });
    let mut text = serde_json::to_string_pretty(&grammar).unwrap_or_default();
    text.push('\n');
    text
}
