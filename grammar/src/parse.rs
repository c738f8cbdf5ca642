//! The ways into the parser.

use crate::ast::{AttachPoint, Block, CBranch, CItem, CItemKind, Expr, Script, Type};
use crate::build::{Builder, Directive, Piece, Stuck};
use crate::errors::SyntaxError;
use crate::explain::{Part, Place, explain};
use crate::scan::{self, ChunkKind, Scan};
use crate::span::{FileId, Span};

/// Reads a script. What is wrong with one item doesn't keep the others from being read.
pub fn parse(text: &str, file: FileId) -> (Script, Vec<SyntaxError>) {
    if let Some(error) = too_long(text, file) {
        return (Script::default(), vec![error]);
    }
    let scan = scan::script(text, file);
    let depth = scan.chunks.iter().map(|c| c.depth).max().unwrap_or(0);
    let made = with_stack(depth, text, file, |text| script(text, file, scan));
    let (script, mut errors) = made.unwrap_or_else(|e| (Script::default(), vec![e]));
    // What is missing behind the place where reading ended is no fault of the text.
    if errors.iter().any(|e| e.code == "too-deep") {
        errors.retain(|e| e.code == "too-deep");
    }
    // More of them help nobody.
    errors.truncate(500);
    (script, errors)
}

fn script(text: &str, file: FileId, scan: Scan) -> (Script, Vec<SyntaxError>) {
    let mut out = Script { shebang: scan.shebang, comments: scan.comments, ..Script::default() };
    let mut errors = scan.errors;
    let mut conditions = Conditions::default();
    let mut builder = Builder::new(text, file, 0);
    for chunk in scan.chunks.iter().filter(|c| !c.bad) {
        let span = Span::new(file, chunk.start, chunk.end);
        match builder.chunk(chunk) {
            Ok(Piece::Item(items)) => {
                conditions.only_c(span, &mut errors);
                out.items.extend(items);
            }
            Ok(Piece::C(items)) => {
                for item in items {
                    conditions.add(item, &mut out.preamble);
                }
            }
            Ok(Piece::Directive(directive)) => conditions.directive(directive, span, &mut out.preamble, &mut errors),
            Ok(Piece::Config(items)) => {
                conditions.only_c(span, &mut errors);
                out.config.extend(items);
            }
            Ok(Piece::Import(import)) => {
                conditions.only_c(span, &mut errors);
                out.imports.push(import);
            }
            Err(stuck) => {
                let part = if chunk.kind == ChunkKind::Directive { Part::Directive } else { Part::Item };
                errors.push(fault(text, file, part, chunk.start, chunk.end, stuck));
            }
        }
    }
    conditions.end(&mut out.preamble, &mut errors);
    errors.append(&mut builder.errors);
    errors.sort_by_key(|e| (e.span.start, e.span.end));
    (out, errors)
}

/// Conditional directives are read one line at a time; this puts what is between them in their arms.
#[derive(Default)]
struct Conditions {
    open: Vec<Condition>,
}

struct Condition {
    branches: Vec<CBranch>,
    /// the `#if` itself
    at: Span,
    /// `#else` was there
    last: bool,
    /// a probe in it was reported
    reported: bool,
}

impl Conditions {
    fn add(&mut self, item: CItem, preamble: &mut Vec<CItem>) {
        match self.open.last_mut().and_then(|c| c.branches.last_mut()) {
            Some(branch) => branch.body.push(item),
            None => preamble.push(item),
        }
    }

    fn only_c(&mut self, span: Span, errors: &mut Vec<SyntaxError>) {
        let Some(open) = self.open.last_mut().filter(|o| !o.reported) else {
            return;
        };
        open.reported = true;
        errors.push(
            SyntaxError::new("syntax", span, "only C definitions can be inside an `#if`")
                .related(open.at, "opened here")
                .help("end it with `#endif` in front of this; choose between probes with predicates"),
        );
    }

    fn directive(&mut self, directive: Directive, span: Span, preamble: &mut Vec<CItem>, errors: &mut Vec<SyntaxError>) {
        let (word, cond) = match directive {
            Directive::Plain(item) => return self.add(item, preamble),
            Directive::If(cond) => {
                if self.open.len() >= scan::MAX_DEPTH {
                    errors.push(scan::too_deep(span));
                    return;
                }
                let body = Vec::new();
                return self.open.push(Condition {
                    branches: vec![CBranch { cond: Some(cond), body }],
                    at: span,
                    last: false,
                    reported: false,
                });
            }
            Directive::Elif(cond) => ("#elif", Some(cond)),
            Directive::Else => ("#else", None),
            Directive::Endif => {
                match self.open.pop() {
                    Some(open) => self.add(CItem { kind: CItemKind::If { branches: open.branches }, span: open.at.to(span) }, preamble),
                    None => errors.push(SyntaxError::new("syntax", span, "`#endif` without an `#if`")),
                }
                return;
            }
        };
        let Some(open) = self.open.last_mut() else {
            errors.push(SyntaxError::new("syntax", span, format!("`{word}` without an `#if`")));
            return;
        };
        if open.last {
            let message = format!("`{word}` after `#else`");
            errors.push(SyntaxError::new("syntax", span, message).related(open.at, "the `#if` that it belongs to"));
            return;
        }
        open.last = cond.is_none();
        let body = Vec::new();
        open.branches.push(CBranch { cond, body });
    }

    /// What is still open is closed, innermost first.
    fn end(&mut self, preamble: &mut Vec<CItem>, errors: &mut Vec<SyntaxError>) {
        while let Some(open) = self.open.pop() {
            errors.push(SyntaxError::new("unclosed", open.at, "this `#if` has no `#endif`").help("end it with `#endif`"));
            let kind = CItemKind::If { branches: open.branches };
            self.add(CItem { kind, span: open.at }, preamble);
        }
    }
}

/// What one line of the REPL turned out to be.
#[derive(Clone, Debug)]
pub enum ReplLine {
    /// one expression without a semicolon
    Expr(Expr),
    Stmts(Block),
    /// probes, definitions, directives
    Script(Script),
}

/// Reads a line of the REPL: whole items if it begins like one, otherwise statements.
pub fn parse_line(text: &str, file: FileId) -> Result<ReplLine, Vec<SyntaxError>> {
    let as_script = || match parse(text, file) {
        (script, errors) if errors.is_empty() => Ok(ReplLine::Script(script)),
        (_, errors) => Err(errors),
    };
    if scan::looks_like_item(text) {
        return match as_script() {
            Ok(line) => Ok(line),
            // `aa:bb:cc:dd:ee:ff` begins like a probe
            Err(errors) => parse_expr(text, file, 0).map(ReplLine::Expr).map_err(|_| errors),
        };
    }
    match whole(text, file, 0, |b| b.whole_stmts()) {
        Ok(Block { stmts, tail: Some(expr), .. }) if stmts.is_empty() => Ok(ReplLine::Expr(*expr)),
        Ok(block) => Ok(ReplLine::Stmts(block)),
        // `name = probe` begins like an assignment
        Err(errors) => as_script().map_err(|_| errors),
    }
}

/// Would more text help? True while a bracket or a comment is open, so that a REPL can ask for the next line.
pub fn is_incomplete(text: &str) -> bool {
    let scan = scan::piece(text, FileId::default());
    let end = text.len() as u32;
    scan.errors.iter().any(|e| e.code == "unterminated-comment" || (e.code == "unclosed" && e.span.start == end))
}

/// Reads one expression. `offset` is where `text` begins in its file; spans count from the beginning of the file.
pub fn parse_expr(text: &str, file: FileId, offset: usize) -> Result<Expr, Vec<SyntaxError>> {
    whole(text, file, offset, |b| b.whole_expr())
}

/// Reads one type, as after the colon of `let $x: T`.
pub fn parse_type(text: &str, file: FileId, offset: usize) -> Result<Type, Vec<SyntaxError>> {
    whole(text, file, offset, |b| b.whole_type())
}

/// Reads attach points with commas between them: `kprobe:vfs_*,tracepoint:sched:*`.
pub fn parse_points(text: &str, file: FileId, offset: usize) -> Result<Vec<AttachPoint>, Vec<SyntaxError>> {
    if let Some(error) = too_long(text, file) {
        return Err(vec![error]);
    }
    // slashes and quotes have another meaning in attach points than in the rest of the language: no scan
    run(text.trim(), file, offset + text.len() - text.trim_start().len(), Part::Points, |b| b.whole_points())
}

fn whole<T: Send>(
    text: &str,
    file: FileId,
    offset: usize,
    read: impl FnOnce(&mut Builder<'_>) -> Result<T, Stuck> + Send,
) -> Result<T, Vec<SyntaxError>> {
    if let Some(error) = too_long(text, file) {
        return Err(vec![error]);
    }
    let mut scan = scan::piece(text, file);
    if !scan.errors.is_empty() {
        for error in &mut scan.errors {
            error.shift(offset);
        }
        return Err(scan.errors);
    }
    let depth = scan.chunks.iter().map(|c| c.depth).max().unwrap_or(0);
    with_stack(depth, text, file, |text| run(text, file, offset, Part::Body, read)).unwrap_or_else(|e| Err(vec![e]))
}

fn run<T>(
    text: &str,
    file: FileId,
    offset: usize,
    part: Part,
    read: impl FnOnce(&mut Builder<'_>) -> Result<T, Stuck>,
) -> Result<T, Vec<SyntaxError>> {
    let mut builder = Builder::new(text, file, offset);
    match read(&mut builder) {
        Ok(value) if builder.errors.is_empty() => Ok(value),
        Ok(_) => Err(builder.errors),
        Err(stuck) => {
            let mut error = fault(text, file, part, 0, text.len(), stuck);
            error.shift(offset);
            Err(vec![error])
        }
    }
}

/// Spans count in 32 bits.
fn too_long(text: &str, file: FileId) -> Option<SyntaxError> {
    (text.len() > u32::MAX as usize / 2).then(|| SyntaxError::new("too-long", Span::new(file, 0, 0), "this text is longer than 2 GiB"))
}

/// Nesting that the current stack surely carries.
const SHALLOW: usize = 16;
/// Enough for `MAX_DEPTH` levels, also in a build without optimisation. Memory that isn't touched isn't taken.
const DEEP_STACK: usize = 256 << 20;

/// Runs `work` on a stack that carries `depth` levels.
fn with_stack<T: Send>(depth: usize, text: &str, file: FileId, work: impl FnOnce(&str) -> T + Send) -> Result<T, SyntaxError> {
    if depth <= SHALLOW {
        return Ok(work(text));
    }
    let no_stack = || scan::too_deep(Span::new(file, 0, text.len()));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(DEEP_STACK).spawn_scoped(scope, || work(text));
        thread.map_err(|_| no_stack())?.join().map_err(|_| no_stack())
    })
}

/// The words for a place where the parser could not go on.
fn fault(text: &str, file: FileId, part: Part, start: usize, end: usize, stuck: Stuck) -> SyntaxError {
    if stuck.too_deep {
        return scan::too_deep(Span::new(file, stuck.at, stuck.at));
    }
    explain(&Place { text, file, part, start, end, at: stuck.at })
}
