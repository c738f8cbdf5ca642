//! The language server, talked to as an editor does.

mod common;

use common::{awl, may_load, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Editor {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    asked: u64,
}

const FILE: &str = "file:///tmp/a.bt";

impl Editor {
    fn start() -> Editor {
        let mut c = Command::new(env!("CARGO_BIN_EXE_awl"));
        let mut child = c.arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut e = Editor { child, to, from, asked: 0 };
        let answer = e.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": {} }));
        assert_eq!(answer["capabilities"]["hoverProvider"], true, "{answer}");
        e.send(json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
        e
    }

    fn send(&mut self, message: Value) {
        let body = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.to.flush().unwrap();
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the server is gone");
            match line.trim().split_once(": ") {
                Some(("Content-Length", n)) => length = n.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let got = self.read();
            if got["id"] == id {
                return got["result"].clone();
            }
        }
    }

    /// Opens or changes the document; gives its diagnostics.
    fn show(&mut self, text: &str) -> Vec<Value> {
        let document = json!({ "uri": FILE, "languageId": "awl", "version": 1, "text": text });
        self.send(json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": document } }));
        loop {
            let got = self.read();
            if got["method"] == "textDocument/publishDiagnostics" {
                return got["params"]["diagnostics"].as_array().unwrap().clone();
            }
        }
    }

    fn at(&mut self, method: &str, text: &str, place: usize) -> Value {
        let (line, column) = (text[..place].matches('\n').count(), place - text[..place].rfind('\n').map_or(0, |i| i + 1));
        self.ask(method, json!({ "textDocument": { "uri": FILE }, "position": { "line": line, "character": column } }))
    }

    fn labels(&mut self, text: &str) -> Vec<String> {
        self.show(text);
        let items = self.at("textDocument/completion", text, text.len());
        items.as_array().unwrap().iter().map(|i| i["label"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn an_editor_is_served() {
    let mut e = Editor::start();
    let found = e.show("begin {\n  // ü𝄞\n  print((\"𝄞\", com));\n}");
    let first = found.iter().find(|d| d["code"] == "unknown-name").unwrap();
    assert_eq!(first["range"]["start"], json!({ "line": 2, "character": 15 }), "columns are UTF-16 units: {first}");
    assert!(first["message"].as_str().unwrap().contains("did you mean `comm`?"));
    assert_eq!(e.show("begin { print(1); }"), Vec::<Value>::new());

    let script = "begin {\n  $start = nsecs;\n  @times[comm] = hist(nsecs - $start);\n}\n";
    assert_eq!(e.show(script), Vec::<Value>::new());
    let hover = |e: &mut Editor, what: &str| e.at("textDocument/hover", script, script.find(what).unwrap() + 1).to_string();
    assert!(hover(&mut e, "hist(").contains("hist(n: int"));
    assert!(hover(&mut e, "$start").contains("$start: uint64"));
    assert!(hover(&mut e, "@times").contains("@times[string[16]]: hist"));
    assert!(hover(&mut e, "begin").contains("runs once"));
    let use_of = script.rfind("$start").unwrap() + 2;
    let definition = e.at("textDocument/definition", script, use_of);
    assert_eq!(definition["range"]["start"], json!({ "line": 1, "character": 2 }));

    assert_eq!(e.labels("begin { @reads = 1; print(@re"), ["@reads"]);
    assert!(e.labels("begin { lhi").contains(&"lhist(".to_owned()));
    assert!(e.labels("tracep").contains(&"tracepoint:".to_owned()));

    e.show("begin{print(1);// why\n}");
    let edits =
        e.ask("textDocument/formatting", json!({ "textDocument": { "uri": FILE }, "options": { "tabSize": 2, "insertSpaces": true } }));
    assert_eq!(edits[0]["newText"], "begin {\n  print(1); // why\n}\n");
    e.show("begin {");
    let edits =
        e.ask("textDocument/formatting", json!({ "textDocument": { "uri": FILE }, "options": { "tabSize": 2, "insertSpaces": true } }));
    assert_eq!(edits, Value::Null, "what can't be read stays");

    assert_eq!(e.ask("textDocument/nosuch", json!({})), Value::Null);
    e.ask("shutdown", Value::Null);
    e.send(json!({ "jsonrpc": "2.0", "method": "exit" }));
    assert!(e.child.wait().unwrap().success());
}

#[test]
fn places_of_this_machine() {
    if !may_load() {
        return;
    }
    let mut e = Editor::start();
    assert!(e.labels("tracepoint:sched:sched_sw").contains(&"tracepoint:sched:sched_switch".to_owned()));
    assert!(e.labels("tracepoint:sched:sched_switch { print(args.").contains(&"next_pid".to_owned()));
    let script = "tracepoint:sched:sched_switch { @[args.next_pid] = count(); }";
    e.show(script);
    let hover = e.at("textDocument/hover", script, 20).to_string();
    assert!(hover.contains("prev_comm") && hover.contains("next_pid"), "{hover}");
    let hover = e.at("textDocument/hover", script, script.find("next_pid").unwrap() + 2).to_string();
    assert!(hover.contains("next_pid"), "{hover}");
    e.ask("shutdown", Value::Null);
    e.send(json!({ "jsonrpc": "2.0", "method": "exit" }));
    assert!(e.child.wait().unwrap().success());
}

#[test]
fn any_position_in_any_text_is_answered() {
    let mut e = Editor::start();
    let script = "#define X 1\nt:s:* /pid == X/ { @m[comm, \"ü𝄞\"] = hist(args.a->b); } // ü\nbegin { $x = (struct s *)0; print($x->y";
    for end in (0..=script.len()).filter(|i| script.is_char_boundary(*i)).step_by(5) {
        e.show(&script[..end]);
        for method in ["completion", "hover", "definition"] {
            let place = json!({ "textDocument": { "uri": FILE }, "position": { "line": end % 3, "character": end } });
            e.ask(&format!("textDocument/{method}"), place);
        }
    }
    drop(e.to);
    // an editor that just goes away is no reason to stay
    assert!(e.child.wait().unwrap().code().is_some());
}

#[test]
fn a_hundred_thousand_lines_are_served() {
    let mut e = Editor::start();
    let script = format!("begin {{\n{}  @count[com] = 1;\n}}\n", "  @x = 1;\n".repeat(100_000));
    let begin = std::time::Instant::now();
    let found = e.show(&script);
    assert!(found.iter().any(|d| d["code"] == "unknown-name" && d["range"]["start"]["line"] == 100_001), "{found:?}");
    let shown = begin.elapsed();
    let here = script.rfind("@count").unwrap() + 4;
    let items = e.at("textDocument/completion", &script, here);
    assert_eq!(items[0]["label"], "@count", "{items}");
    e.at("textDocument/hover", &script, here);
    let all = begin.elapsed();
    println!("checked in {shown:?}, completed and described in {:?}", all - shown);
    assert!(all.as_secs() < 120, "{all:?}");
    // Linux counts in kilobytes.
    let status = std::fs::read_to_string(format!("/proc/{}/status", e.child.id())).unwrap();
    let most = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(most.is_some_and(|kilobytes| kilobytes < 1 << 20), "{status}");
    e.ask("shutdown", Value::Null);
    e.send(json!({ "jsonrpc": "2.0", "method": "exit" }));
    assert!(e.child.wait().unwrap().success());
}

#[test]
fn the_grammar_for_editors_is_that_of_the_rows() {
    let made = text(&awl(&["lsp", "--grammar"]).stdout);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/editors/awl.tmLanguage.json");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept == made, "docs/editors/awl.tmLanguage.json is behind the code: run `UPDATE_GOLDENS=1 cargo test --test lsp`");
    let grammar: Value = serde_json::from_str(&made).unwrap();
    assert!(grammar["patterns"].as_array().unwrap().len() > 10);
}
