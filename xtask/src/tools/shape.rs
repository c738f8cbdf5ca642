//! What a tool's output looks like, whatever it has seen: its header, and the columns of its lines.

use std::collections::BTreeMap;

#[derive(Debug, Default, PartialEq)]
pub struct Shape {
    /// what `BEGIN` printed, but for the spaces at its ends of lines
    pub header: Vec<String>,
    /// `# w t`: numbers, words, times; how many there are of each
    pub lines: BTreeMap<String, usize>,
}

impl Shape {
    pub fn of(tool: &str, output: &str) -> Shape {
        let noise = |l: &&str| !l.is_empty() && !l.starts_with("Attaching ") && !l.starts_with("Attached ");
        let output = without_warnings(output);
        let mut rest = output.iter().map(|l| l.trim_end()).filter(noise);
        let header = rest.by_ref().take(header_lines(tool)).map(str::to_string).collect();
        let mut lines = BTreeMap::new();
        // What is left of a map whose elements the tool deletes is a matter of the moment.
        let deleted = |map: &str| ["[", ","].iter().any(|next| tool.contains(&format!("delete(@{map}{next}")));
        let fleeting = |l: &&str| l.strip_prefix('@').is_some_and(|l| deleted(name_of(l)));
        rest.filter(|l| !fleeting(l)).for_each(|l| *lines.entry(columns(l)).or_default() += 1);
        Shape { header, lines }
    }

    /// Kinds of lines that only this one has. Rare ones don't count: bpftrace's own lines get into one another.
    pub fn missing_in<'a>(&'a self, other: &Shape) -> Vec<&'a str> {
        let all: usize = self.lines.values().sum();
        let counts = |kind: &str, n: usize| n * 20 > all || kind.starts_with(['@', 'a']);
        self.lines.iter().filter(|(k, n)| counts(k, **n) && !other.lines.contains_key(*k)).map(|(k, _)| k.as_str()).collect()
    }
}

/// bpftrace prints those about failed helpers in the middle of a tool's lines, four lines each, the last of them tildes below the
/// code; where the output was cut or two of them met, some of the four.
fn without_warnings(output: &str) -> Vec<&str> {
    let lines: Vec<&str> = output.lines().collect();
    let below = |l: Option<&&str>| l.is_some_and(|l| !l.trim().is_empty() && l.trim().chars().all(|c| c == '~'));
    let warns = |i: usize, l: &str| {
        (l.contains(".bt:") && l.contains(" WARNING: "))
            || l.starts_with("Additional Info - ")
            || below(Some(&l))
            || below(lines.get(i + 1))
    };
    lines.iter().enumerate().filter(|(i, l)| !warns(*i, l)).map(|(_, l)| *l).collect()
}

/// How many lines, none of them empty, the tool's `BEGIN` prints.
fn header_lines(tool: &str) -> usize {
    let Some(at) = tool.lines().position(|l| l.trim_start().starts_with("BEGIN")) else { return 0 };
    let begin = tool.lines().skip(at).take_while(|l| !l.starts_with('}'));
    begin
        .map(|l| {
            l.split('"')
                .nth(1)
                .map_or(0, |text| text.split("\\n").filter(|part| !part.is_empty()).count() * usize::from(text.contains("\\n")))
        })
        .sum()
}

fn name_of(map: &str) -> &str {
    map.split(['[', ':']).next().unwrap_or_default()
}

fn columns(line: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    if line.starts_with(['[', '(']) && line.contains('|') {
        return "a histogram's line".into();
    }
    if let Some(rest) = line.strip_prefix('@') {
        return format!("@{}{}", name_of(rest), if rest.contains('[') { "[]" } else { "" });
    }
    for word in line.split_whitespace() {
        let digits = word.trim_start_matches('-').trim_end_matches(['%', ',']);
        let kind = match digits {
            d if d.starts_with("0x") => "#",
            d if d.contains(':') && d.chars().all(|c| c.is_ascii_digit() || c == ':') => "t",
            d if d.chars().all(|c| c.is_ascii_digit() || c == '.') && d.chars().any(|c| c.is_ascii_digit()) => "#",
            _ => "w",
        };
        // Names and arguments have any number of words.
        if !(kind == "w" && out.last() == Some(&"w")) {
            out.push(kind);
        }
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOL: &str = "#!/usr/bin/env bpftrace\nBEGIN\n{\n\tprintf(\"Tracing...\\n\");\n\tprintf(\"%-6s %s\\n\", \"PID\", \"COMM\");\n}\nEND { printf(\"\\n\"); }\n";

    #[test]
    fn header_and_columns() {
        let shape = |text: &str| Shape::of(TOOL, text);
        let a = shape("Attaching 2 probes...\nTracing...\nPID COMM\n12 cat a b 0x1f\n12:00:01 -1\n\n@x[1]: 2\n[1, 2) 3 |@@ |\n");
        assert_eq!(a.header, ["Tracing...", "PID COMM"]);
        assert_eq!(a.lines.keys().map(String::as_str).collect::<Vec<_>>(), ["# w #", "@x[]", "a histogram's line", "t #"]);
        let b = shape("Tracing...\nPID COMM\n7 tail 0x1\n");
        assert_eq!(a.header, b.header);
        assert_eq!(a.missing_in(&b), ["@x[]", "a histogram's line", "t #"]);
        assert!(b.missing_in(&a).is_empty());
        let warned =
            shape("Tracing...\nPID COMM\n/t.bt:47:2-31: WARNING: Can't\nAdditional Info - helper\n    delete\n    ~~~~~~\n7 tail 0x1\n");
        assert_eq!(warned, b);
        assert_eq!(shape("Tracing...\nPID COMM\n    delete\n    ~~~~~~\n7 tail 0x1\n"), b);
        let deletes = TOOL.replace("END", "exit { delete(@x[tid]); }\nEND");
        assert_eq!(Shape::of(&deletes, "Tracing...\nPID COMM\n7 tail 0x1\n@x[1]: 2\n"), b);
        let torn = "7 tail 0x1\n".repeat(30) + "7 7 tail 0x1\n";
        assert!(shape(&format!("Tracing...\nPID COMM\n{torn}")).missing_in(&b).is_empty());
    }
}
