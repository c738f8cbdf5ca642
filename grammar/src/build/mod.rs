//! Pest's pairs become the tree. This module alone names pest and its rules.
//!
//! Nothing here fails: what turns out to be wrong (a number too large, an escape that isn't one) is reported and something
//! harmless stands in its place.

mod c;
mod expr;
mod item;
mod stmt;
mod ty;

use pest::Parser;
use pest::iterators::{Pair, Pairs};
use pest_derive::Parser;

use crate::ast;
use crate::errors::SyntaxError;
use crate::literal::BadLiteral;
use crate::scan::{Chunk, ChunkKind};
use crate::span::{FileId, Span};

#[derive(Parser)]
#[grammar = "awl.pest"]
struct AwlParser;

type P<'a> = Pair<'a, Rule>;
type Ps<'a> = Pairs<'a, Rule>;

/// One piece of text and what it turned out to be.
pub enum Piece {
    Item(Vec<ast::Item>),
    C(Vec<ast::CItem>),
    Directive(Directive),
    Config(Vec<ast::ConfigItem>),
    Import(ast::Import),
}

/// A directive that stands for itself, or a border of a conditional part.
pub enum Directive {
    Plain(ast::CItem),
    If(ast::CCond),
    Elif(ast::CCond),
    Else,
    Endif,
}

/// The place where the parser could not go on, and nothing more: what to say about it is worked out from the text.
pub struct Stuck {
    /// bytes from the beginning of the text
    pub at: usize,
    pub too_deep: bool,
}

/// Turns pieces of one text into pieces of the tree.
pub struct Builder<'a> {
    text: &'a str,
    file: FileId,
    /// where the text begins in its file, and where the piece being read does
    origin: usize,
    base: usize,
    pub errors: Vec<SyntaxError>,
}

impl<'a> Builder<'a> {
    /// Spans count from the beginning of `text`, which begins `base` bytes into its file.
    pub fn new(text: &'a str, file: FileId, base: usize) -> Builder<'a> {
        Builder { text, file, origin: base, base, errors: Vec::new() }
    }

    fn pairs(&mut self, rule: Rule, start: usize, end: usize) -> Result<Ps<'a>, Stuck> {
        AwlParser::parse(rule, &self.text[start..end]).map_err(|e| {
            let at = match e.location {
                pest::error::InputLocation::Pos(p) | pest::error::InputLocation::Span((p, _)) => p,
            };
            // the one message of pest's own: the stack has run out
            let too_deep = matches!(e.variant, pest::error::ErrorVariant::CustomError { .. });
            Stuck { at: start + at, too_deep }
        })
    }

    /// Reads one item of a script.
    pub fn chunk(&mut self, chunk: &Chunk) -> Result<Piece, Stuck> {
        let rule = match chunk.kind {
            ChunkKind::Directive => Rule::only_directive,
            ChunkKind::Item => Rule::only_item,
        };
        let outer = self.base;
        let mut pairs = self.pairs(rule, chunk.start, chunk.end)?;
        self.base += chunk.start;
        let piece = match pairs.next() {
            Some(pair) => self.piece(pair),
            None => Piece::Item(Vec::new()),
        };
        self.base = outer;
        Ok(piece)
    }

    fn piece(&mut self, pair: P<'a>) -> Piece {
        match pair.as_rule() {
            Rule::directive => Piece::Directive(self.directive(pair)),
            Rule::c_item => Piece::C(self.c_item(pair)),
            Rule::config => Piece::Config(self.config(pair)),
            Rule::import_item => Piece::Import(self.import(pair)),
            Rule::map_decl => Piece::Item(vec![ast::Item::MapDecl(self.map_decl(pair))]),
            Rule::macro_def => Piece::Item(vec![ast::Item::Macro(self.macro_def(pair))]),
            Rule::function => Piece::Item(vec![ast::Item::Function(self.function(pair))]),
            _ => Piece::Item(vec![ast::Item::Probe(self.probe(pair))]),
        }
    }

    /// Reads the whole text as statements; the block's span is the text.
    pub fn whole_stmts(&mut self) -> Result<ast::Block, Stuck> {
        let pairs = self.pairs(Rule::only_stmts, 0, self.text.len())?;
        let span = Span::new(self.file, self.base, self.base + self.text.len());
        Ok(self.stmts(pairs, span).0)
    }

    /// Reads the whole text as one expression.
    pub fn whole_expr(&mut self) -> Result<ast::Expr, Stuck> {
        let mut pairs = self.pairs(Rule::only_expr, 0, self.text.len())?;
        Ok(match pairs.next() {
            Some(pair) => self.expr(pair).0,
            None => self.nothing(Span::new(self.file, self.base, self.base)).0,
        })
    }

    /// Reads the whole text as one type.
    pub fn whole_type(&mut self) -> Result<ast::Type, Stuck> {
        let mut pairs = self.pairs(Rule::only_type, 0, self.text.len())?;
        Ok(match pairs.next() {
            Some(pair) => self.ty(pair).0,
            None => ast::Type { kind: ast::TypeKind::Named(String::new()), span: Span::new(self.file, self.base, self.base) },
        })
    }

    /// Reads the whole text as attach points with commas between them.
    pub fn whole_points(&mut self) -> Result<Vec<ast::AttachPoint>, Stuck> {
        let pairs = self.pairs(Rule::only_points, 0, self.text.len())?;
        Ok(pairs.filter(|p| p.as_rule() == Rule::attach_point).map(|p| self.attach_point(p)).collect())
    }

    // ---- small things that every file here needs

    /// The span of a pair. Exact for tokens and for what ends in a bracket; a pair that ends in something optional may
    /// take the blanks after it along, so its builder joins the spans of its parts instead.
    fn span(&self, pair: &P<'a>) -> Span {
        let span = pair.as_span();
        Span::new(self.file, self.base + span.start(), self.base + span.end())
    }

    fn ident(&self, pair: &P<'a>) -> ast::Ident {
        ast::Ident { name: pair.as_str().to_string(), span: self.span(pair) }
    }

    /// `$x`, `@m`: the sigil is in the span alone.
    fn sigil_ident(&self, pair: &P<'a>) -> ast::Ident {
        ast::Ident { name: pair.as_str()[1..].to_string(), span: self.span(pair) }
    }

    /// Stands for a name that the grammar has made sure of.
    fn no_name(&self, span: Span) -> ast::Ident {
        ast::Ident { name: String::new(), span }
    }

    fn bad_literal(&mut self, span: Span, bad: BadLiteral) {
        let start = span.start as usize + bad.at;
        let mut error = SyntaxError::new(bad.code, Span::new(self.file, start, start + bad.len), bad.message);
        error.help = bad.help;
        self.errors.push(error);
    }

    /// The path of an import: a string without surprises.
    fn import_path(&mut self, pair: P<'a>) -> ast::Import {
        let span = self.span(&pair);
        ast::Import { path: self.string_text(pair), span }
    }

    fn string_text(&mut self, pair: P<'a>) -> String {
        let span = self.span(&pair);
        match crate::literal::string(pair.as_str()) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(bad) => {
                self.bad_literal(span, bad);
                String::new()
            }
        }
    }
}
