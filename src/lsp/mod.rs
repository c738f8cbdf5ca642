//! `awl lsp`: a language server on standard input and output. It knows what the prompt knows: the same checker, completion
//! and descriptions.

mod grammar;
mod hover;
mod text;
pub mod trial;
mod wire;

use crate::Failure;
use crate::command::Subcommand;
use crate::complete::{Candidate, Completer, Kind};
use awl_compiler::compile::compile;
use awl_compiler::diagnostic::{Blame, Diagnostic};
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_runtime::target::HostTarget;
use clap::{Arg, ArgAction, ArgMatches, Command};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use lsp_types::notification::{DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Notification as _, PublishDiagnostics};
use lsp_types::request::{Completion, Formatting, GotoDefinition, HoverRequest, Request as _};
use lsp_types::{self as lsp, Uri};
use serde_json::Value;
use std::collections::HashMap;
use std::rc::Rc;
use text::Document;

pub const ROW: Subcommand = Subcommand { name: "lsp", command, run };

fn command(c: Command) -> Command {
    c.about("serve editors on standard input and output (language server protocol)")
        .arg(Arg::new("grammar").long("grammar").action(ArgAction::SetTrue).help("print a TextMate grammar of the language instead"))
}

fn run(m: &ArgMatches) -> Result<u8, Failure> {
    if m.get_flag("grammar") {
        return crate::command::say(&grammar::textmate());
    }
    let broken = |e: &dyn std::fmt::Display| Box::new(Diagnostic::environment("session", format!("the editor can't be talked to: {e}")));
    let (connection, threads) = wire::stdio();
    let (id, params) = match connection.initialize_start() {
        Ok(first) => first,
        Err(e) if e.channel_is_disconnected() => {
            drop(connection);
            // What ended the reading says more.
            return Err(threads.join().err().map_or_else(|| broken(&e), |why| broken(&why)));
        }
        Err(e) => return Err(broken(&e)),
    };
    let params: lsp::InitializeParams = serde_json::from_value(params).unwrap_or_default();
    let encodings = params.capabilities.general.and_then(|g| g.position_encodings).unwrap_or_default();
    let bytes = encodings.contains(&lsp::PositionEncodingKind::UTF8);
    let answer = serde_json::json!({
        "capabilities": capabilities(bytes),
        "serverInfo": { "name": "awl", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, answer).map_err(|e| broken(&e))?;
    let target = Rc::new(HostTarget::new());
    let mut server = Server { connection, completer: Completer::new(Rc::clone(&target)), target, documents: HashMap::new(), bytes };
    server.serve();
    drop(server);
    threads.join().map_err(|e| broken(&e))?;
    Ok(0)
}

fn capabilities(bytes: bool) -> lsp::ServerCapabilities {
    let encoding = if bytes { lsp::PositionEncodingKind::UTF8 } else { lsp::PositionEncodingKind::UTF16 };
    let triggers = [":", ".", ">", "$", "@"].map(str::to_owned).to_vec();
    lsp::ServerCapabilities {
        position_encoding: Some(encoding),
        text_document_sync: Some(lsp::TextDocumentSyncCapability::Kind(lsp::TextDocumentSyncKind::FULL)),
        completion_provider: Some(lsp::CompletionOptions { trigger_characters: Some(triggers), ..Default::default() }),
        hover_provider: Some(lsp::HoverProviderCapability::Simple(true)),
        definition_provider: Some(lsp::OneOf::Left(true)),
        document_formatting_provider: Some(lsp::OneOf::Left(true)),
        ..Default::default()
    }
}

struct Server {
    connection: Connection,
    target: Rc<HostTarget>,
    completer: Completer,
    documents: HashMap<Uri, Document>,
    /// columns count bytes rather than UTF-16 units
    bytes: bool,
}

impl Server {
    fn serve(&mut self) {
        while let Ok(message) = self.connection.receiver.recv() {
            match message {
                Message::Request(r) => {
                    if matches!(self.connection.handle_shutdown(&r), Ok(true) | Err(_)) {
                        return;
                    }
                    let answer = self.answer(r);
                    if self.connection.sender.send(Message::Response(answer)).is_err() {
                        return;
                    }
                }
                Message::Notification(n) => self.note(n),
                Message::Response(_) => {}
            }
        }
    }

    fn note(&mut self, n: Notification) {
        match n.method.as_str() {
            DidOpenTextDocument::METHOD => {
                if let Ok(p) = serde_json::from_value::<lsp::DidOpenTextDocumentParams>(n.params) {
                    self.changed(p.text_document.uri, p.text_document.text);
                }
            }
            DidChangeTextDocument::METHOD => {
                if let Ok(p) = serde_json::from_value::<lsp::DidChangeTextDocumentParams>(n.params)
                    && let Some(last) = p.content_changes.into_iter().last()
                {
                    self.changed(p.text_document.uri, last.text);
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Ok(p) = serde_json::from_value::<lsp::DidCloseTextDocumentParams>(n.params) {
                    self.documents.remove(&p.text_document.uri);
                    self.publish(p.text_document.uri, Vec::new());
                }
            }
            _ => {}
        }
    }

    fn changed(&mut self, uri: Uri, text: String) {
        let document = Document::new(text, self.bytes);
        let mut sources = SourceMap::default();
        // By its path, so that what it includes and imports is found beside it.
        let file = sources.add(path(&uri), document.text.clone());
        let options = Options { allow_unsafe: true, dry_run: true, ..Options::default() };
        let mut found = match crate::sources::gather(&mut sources, file, &[], &[]) {
            Ok(()) => compile(&sources, file, &*self.target, &options, false).diagnostics,
            Err(d) => vec![*d],
        };
        // Places in other texts are shown when those are open.
        let here = |l: &awl_compiler::diagnostic::Label| l.span.file == file;
        found.retain(|d| d.primary.as_ref().is_none_or(here));
        found.iter_mut().for_each(|d| d.secondary.retain(here));
        let shown = found.iter().map(|d| diagnostic(d, &document, &uri)).collect();
        self.documents.insert(uri.clone(), document);
        self.publish(uri, shown);
    }

    fn publish(&self, uri: Uri, diagnostics: Vec<lsp::Diagnostic>) {
        let params = lsp::PublishDiagnosticsParams { uri, diagnostics, version: None };
        // An editor that is gone is noticed by the next read.
        let _ = self.connection.sender.send(Message::Notification(Notification::new(PublishDiagnostics::METHOD.into(), params)));
    }

    fn answer(&self, r: Request) -> Response {
        let done = match r.method.as_str() {
            Completion::METHOD => self.at(r.params, |d, at, _| self.complete(d, at)),
            HoverRequest::METHOD => self.at(r.params, |d, at, _| self.hover(d, at)),
            GotoDefinition::METHOD => self.at(r.params, definition),
            Formatting::METHOD => self.at(r.params, |d, _, _| format(d)),
            other => return Response::new_err(r.id, ErrorCode::MethodNotFound as i32, format!("`{other}` is not served")),
        };
        match done {
            Some(value) => Response::new_ok(r.id, value),
            None => Response::new_ok(r.id, Value::Null),
        }
    }

    /// What `how` says about a place in a document; nothing where there is no such document.
    fn at(&self, params: Value, how: impl FnOnce(&Document, usize, &Uri) -> Option<Value>) -> Option<Value> {
        let id: lsp::TextDocumentIdentifier = serde_json::from_value(params.get("textDocument")?.clone()).ok()?;
        let place = params.get("position").and_then(|p| serde_json::from_value::<lsp::Position>(p.clone()).ok());
        let d = self.documents.get(&id.uri)?;
        how(d, d.offset(place.unwrap_or_default()), &id.uri)
    }

    fn complete(&self, d: &Document, at: usize) -> Option<Value> {
        let (start, found) = self.completer.complete(&d.text, at, "");
        let range = d.range(start, at);
        let items: Vec<lsp::CompletionItem> = found.into_iter().enumerate().map(|(i, c)| item(c, i, range)).collect();
        serde_json::to_value(items).ok()
    }

    fn hover(&self, d: &Document, at: usize) -> Option<Value> {
        let (range, text) = hover::describe(&self.completer, &self.target, &d.text, at)?;
        let contents = lsp::HoverContents::Markup(lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value: text });
        serde_json::to_value(lsp::Hover { contents, range: Some(d.range(range.start, range.end)) }).ok()
    }
}

/// The path of a `file:` address; others are shown as they are.
fn path(uri: &Uri) -> String {
    let text = uri.as_str();
    let Some(rest) = text.strip_prefix("file://") else { return format!("<{text}>") };
    let mut bytes = Vec::with_capacity(rest.len());
    let mut left = rest.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let hex = rest.get(..2).filter(|_| *first == b'%').and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(*first));
        left = if hex.is_some() { &rest[2..] } else { rest };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn diagnostic(d: &Diagnostic, document: &Document, uri: &Uri) -> lsp::Diagnostic {
    let span = d.primary.as_ref().map(|l| l.span);
    let range = span.map_or_else(|| document.range(0, 0), |s| document.range(s.start as usize, s.end as usize));
    let mut message = d.message.clone();
    if let Some(l) = d.primary.as_ref().filter(|l| !l.text.is_empty()) {
        message += &format!("\n{}", l.text);
    }
    for n in &d.notes {
        message += &format!("\n{n}");
    }
    if let Some(h) = &d.help {
        message += &format!("\nhelp: {h}");
    }
    let related = d.secondary.iter().map(|l| lsp::DiagnosticRelatedInformation {
        location: lsp::Location { uri: uri.clone(), range: document.range(l.span.start as usize, l.span.end as usize) },
        message: l.text.clone(),
    });
    // What this machine lacks another may have.
    let severity = if d.is_error() && d.blame == Blame::User { lsp::DiagnosticSeverity::ERROR } else { lsp::DiagnosticSeverity::WARNING };
    lsp::Diagnostic {
        range,
        severity: Some(severity),
        code: Some(lsp::NumberOrString::String(d.code.to_owned())),
        source: Some("awl".into()),
        message,
        related_information: Some(related.collect()),
        ..Default::default()
    }
}

fn item(c: Candidate, order: usize, range: lsp::Range) -> lsp::CompletionItem {
    use lsp::CompletionItemKind as K;
    let kind = match c.kind {
        Kind::Probe | Kind::Place => K::EVENT,
        Kind::Function => K::FUNCTION,
        Kind::Variable | Kind::Local => K::VARIABLE,
        Kind::Map => K::VALUE,
        Kind::Field => K::FIELD,
        Kind::Keyword => K::KEYWORD,
        Kind::Setting => K::PROPERTY,
    };
    lsp::CompletionItem {
        label: c.text.clone(),
        kind: Some(kind),
        detail: (!c.detail.is_empty()).then_some(c.detail),
        sort_text: Some(format!("{order:05}")),
        filter_text: Some(c.text.clone()),
        text_edit: Some(lsp::CompletionTextEdit::Edit(lsp::TextEdit { range, new_text: c.text })),
        ..Default::default()
    }
}

fn definition(d: &Document, at: usize, uri: &Uri) -> Option<Value> {
    let found = hover::definition(&d.text, at)?;
    serde_json::to_value(lsp::Location { uri: uri.clone(), range: d.range(found.start, found.end) }).ok()
}

/// One edit that replaces the whole text; none for a text with errors, which are shown anyway.
fn format(d: &Document) -> Option<Value> {
    let (script, errors) = awl_grammar::parse(&d.text, awl_compiler::FileId(0));
    if !errors.is_empty() {
        return None;
    }
    let new_text = awl_grammar::print(&script, &d.text);
    serde_json::to_value(vec![lsp::TextEdit { range: d.range(0, d.text.len()), new_text }]).ok()
}

/// A definition lies within the text.
#[cfg(test)]
pub fn check_definition(text: &str, at: usize) {
    if let Some(range) = hover::definition(text, at) {
        assert!(text.get(range).is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strange_texts_are_served() {
        let mut editor = trial::Editor::default();
        crate::complete::tests::strange_texts(300, |text, pos| editor.types(text, pos));
    }
}
