//! What is wrong with a text, in plain words.

use crate::span::Span;

/// A fault of syntax. Prose is lower case and speaks of what was written, never of the parser's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// stable name of the kind of fault: `syntax`, `unclosed`, `unterminated-string`, ...
    pub code: &'static str,
    pub span: Span,
    pub message: String,
    /// says at `span` what is there or what is missing; may be empty
    pub label: String,
    /// a second place that explains the first: the bracket that was opened, the `if` of an `else`
    pub related: Option<(Span, String)>,
    /// what to write instead
    pub help: Option<String>,
}

impl SyntaxError {
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> SyntaxError {
        SyntaxError { code, span, message: message.into(), label: String::new(), related: None, help: None }
    }

    pub fn label(mut self, label: impl Into<String>) -> SyntaxError {
        self.label = label.into();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> SyntaxError {
        self.help = Some(help.into());
        self
    }

    pub fn related(mut self, span: Span, label: impl Into<String>) -> SyntaxError {
        self.related = Some((span, label.into()));
        self
    }

    /// Moves the error to where its text begins in its file.
    pub(crate) fn shift(&mut self, offset: usize) {
        let by = offset as u32;
        for span in std::iter::once(&mut self.span).chain(self.related.as_mut().map(|r| &mut r.0)) {
            span.start += by;
            span.end += by;
        }
    }
}
