//! Types, as annotations, casts and arguments have them.

use super::expr::Tall;
use super::{Builder, P, Rule};
use crate::ast::{Tag, Type, TypeKind};
use crate::errors::SyntaxError;
use crate::scan::{MAX_DEPTH, too_deep};
use crate::span::Span;

/// Types whose `[N]` is a size and not an array.
const SIZED: [&str; 3] = ["string", "buffer", "inet"];

impl<'a> Builder<'a> {
    /// Any of the rules that read a type.
    pub(super) fn ty(&mut self, pair: P<'a>) -> Tall<Type> {
        let whole = self.span(&pair);
        let mut height = 1;
        let mut ty: Option<Type> = None;
        for part in pair.into_inner() {
            let at = self.span(&part);
            match part.as_rule() {
                Rule::type_qual => {}
                Rule::star => {
                    if let Some(inner) = ty.take() {
                        let span = inner.span.to(Span::new(self.file, at.start as usize, at.start as usize + 1));
                        ty = Some(Type { kind: TypeKind::Pointer(Box::new(inner)), span });
                        height += 1;
                    }
                }
                Rule::flat_array | Rule::full_array => {
                    let len = part.into_inner().next().map(|p| self.boxed(p));
                    let Some(inner) = ty.take() else { continue };
                    let span = inner.span.to(at);
                    let kind = match (inner.kind, len) {
                        (TypeKind::Named(word), Some((len, h))) if SIZED.contains(&word.as_str()) => {
                            height = height.max(h) + 1;
                            TypeKind::Sized(word, len)
                        }
                        (kind, len) => {
                            height = height.max(len.as_ref().map_or(0, |(_, h)| *h)) + 1;
                            let inner = Type { kind, span: inner.span };
                            TypeKind::Array(Box::new(inner), len.map(|(len, _)| len))
                        }
                    };
                    ty = Some(Type { kind, span });
                }
                _ => {
                    let (head, h) = self.type_head(part);
                    height = height.max(h);
                    ty = Some(head);
                }
            }
        }
        let mut ty = ty.unwrap_or_else(|| named("", whole));
        // a `const` in front belongs to the type's text
        ty.span.start = whole.start;
        if height > MAX_DEPTH {
            if !self.errors.iter().any(|e| e.code == "too-deep") {
                self.errors.push(too_deep(ty.span));
            }
            // letting go of a very high tree would run as deep as walking it
            let span = ty.span;
            flatten(ty);
            return (named("", span), 1);
        }
        (ty, height)
    }

    fn type_head(&mut self, pair: P<'a>) -> Tall<Type> {
        let span = self.span(&pair);
        match pair.as_rule() {
            Rule::tagged => {
                let mut inner = pair.into_inner();
                let tag = tag_of(inner.next().map_or("", |p| p.as_str()));
                let name = inner.next().map_or(String::new(), |p| p.as_str().to_string());
                let kind = TypeKind::Tagged(tag, name);
                (Type { kind, span }, 1)
            }
            Rule::base_words => {
                let (words, span) = self.joined(pair, span);
                (named(&words, span), 1)
            }
            Rule::typeof_type => {
                let Some(of) = pair.into_inner().nth(1) else {
                    return (named("", span), 1);
                };
                let (of, h) = self.type_or_expr(of);
                let kind = TypeKind::Typeof(of);
                (Type { kind, span }, h + 1)
            }
            Rule::tuple_type => {
                let mut height = 0;
                let mut items = Vec::new();
                for item in pair.into_inner() {
                    let (item, h) = self.ty(item);
                    height = height.max(h);
                    items.push(item);
                }
                let kind = TypeKind::Tuple(items);
                (Type { kind, span }, height + 1)
            }
            _ => (named(pair.as_str(), span), 1),
        }
    }

    /// The words of a type of C, with one blank between them; the span is that of the words alone.
    pub(super) fn joined(&mut self, pair: P<'a>, whole: Span) -> (String, Span) {
        let mut words = String::new();
        let mut span = None;
        for word in pair.into_inner() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word.as_str());
            let at = self.span(&word);
            span = Some(span.map_or(at, |s: Span| s.to(at)));
        }
        (words, span.unwrap_or(whole))
    }

    /// A type where `void` and the like make no sense is the checker's matter; a name that's missing is not.
    pub(super) fn expected_name(&mut self, span: Span) {
        self.errors.push(SyntaxError::new("syntax", span, "a name is missing here"));
    }
}

pub(super) fn tag_of(word: &str) -> Tag {
    match word {
        "union" => Tag::Union,
        "enum" => Tag::Enum,
        _ => Tag::Struct,
    }
}

fn named(word: &str, span: Span) -> Type {
    Type { kind: TypeKind::Named(word.to_string()), span }
}

/// Takes a chain of pointers and arrays apart from the outside.
fn flatten(mut ty: Type) {
    while let TypeKind::Pointer(inner) | TypeKind::Array(inner, _) = ty.kind {
        ty = *inner;
    }
}
