//! The untyped tree: what was written, and where. Both spellings of one thing (`BEGIN` and `begin`, `->` and `.` on a
//! pointer) stay apart where the printer needs them and are the same node where it doesn't.

use crate::span::Span;

/// A whole script, in the order that the language wants: preamble, config and imports, then the rest.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// `#!/usr/bin/env awl`
    pub shebang: Option<Span>,
    /// `#include`, `#define`, `struct`, `union`, `enum`, in source order
    pub preamble: Vec<CItem>,
    /// `config = { key = value; ... }` (several blocks are joined)
    pub config: Vec<ConfigItem>,
    /// `import "stdlib/x"`
    pub imports: Vec<Import>,
    /// probes, macros, functions, map declarations, in source order
    pub items: Vec<Item>,
    /// every comment, in source order, delimiters included
    pub comments: Vec<Span>,
}

#[derive(Clone, Debug)]
pub struct CItem {
    pub kind: CItemKind,
    pub span: Span,
}

/// The part of a script that is written in C.
#[derive(Clone, Debug)]
pub enum CItemKind {
    /// `#include <a/b.h>` or `"a.h"`: the path without its quotes
    Include { path: String, system: bool },
    /// `#define NAME replacement`; `params` of a function-like macro. The replacement is text, trimmed.
    Define { name: String, params: Option<Vec<String>>, body: String, body_span: Span },
    /// `#undef NAME`
    Undef(String),
    /// `#if TEXT`, `#ifdef NAME` (`defined(NAME)`), `#ifndef NAME` (`!defined(NAME)`), closed by its `#endif`
    If { branches: Vec<CBranch> },
    /// any other directive (`#pragma`, `#error`, `#line`): name and rest
    Directive { name: String, rest: String },
    /// `struct name { ... };` or `union name { ... };`
    Record(CRecord),
    /// `enum name { A, B = 2 };`
    Enum(CEnum),
    /// `typedef TYPE name;`
    Typedef { name: Ident, ty: CType },
}

/// One arm of a conditional directive; `cond` is `None` for `#else`.
#[derive(Clone, Debug)]
pub struct CBranch {
    pub cond: Option<CCond>,
    pub body: Vec<CItem>,
}

#[derive(Clone, Debug)]
pub enum CCond {
    Defined(String),
    NotDefined(String),
    /// the text of a general `#if` or `#elif`
    Expr(String),
}

#[derive(Clone, Debug)]
pub struct CRecord {
    pub union: bool,
    /// `None` for an anonymous member
    pub name: Option<Ident>,
    pub fields: Vec<CField>,
    pub packed: bool,
    /// `__attribute__((aligned(N)))`, bytes
    pub align: Option<u64>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct CField {
    /// `None`: an anonymous struct or union, whose members belong to the outer one
    pub name: Option<Ident>,
    pub ty: CType,
    /// width in bits of a bit-field
    pub bits: Option<u32>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct CEnum {
    pub name: Option<Ident>,
    pub variants: Vec<(Ident, Option<Expr>)>,
    pub span: Span,
}

/// A C type as a declarator leaves it: innermost first.
#[derive(Clone, Debug)]
pub struct CType {
    pub kind: CTypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum CTypeKind {
    /// `unsigned long`, `u32`, `pid_t`: words joined by one blank, qualifiers removed
    Named(String),
    /// `struct x`, `union x`, `enum x`: keyword and name
    Tagged(Tag, String),
    /// a record or enum defined in place
    Record(Box<CRecord>),
    Enum(Box<CEnum>),
    Pointer(Box<CType>),
    /// `[]` has no length
    Array(Box<CType>, Option<Box<Expr>>),
    /// a function; only ever behind a pointer
    Function,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    Struct,
    Union,
    Enum,
}

#[derive(Clone, Debug)]
pub struct ConfigItem {
    pub key: Ident,
    /// an integer, a string, or a bare word (`PER_PID`, `error`)
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Import {
    pub path: String,
    pub span: Span,
}

/// A name and where it stands. For variables and maps the sigil is not part of `name` but is in the span.
#[derive(Clone, Debug)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Item {
    Probe(Probe),
    Macro(Macro),
    Function(Function),
    MapDecl(MapDecl),
}

/// `name = probe, probe / predicate / { body }`
#[derive(Clone, Debug)]
pub struct Probe {
    /// `name =` in front of the attach points (reserved, parsed)
    pub name: Option<Ident>,
    pub points: Vec<AttachPoint>,
    pub predicate: Option<Expr>,
    pub body: Block,
    pub span: Span,
}

/// `tracepoint:sched:sched_*`. The parts are split at colons outside quotes; quotes are removed and positional
/// parameters kept as written (`$1`), to be replaced when the command line is known.
#[derive(Clone, Debug)]
pub struct AttachPoint {
    /// never empty; `parts[0]` is the provider as written
    pub parts: Vec<ProbePart>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct ProbePart {
    pub text: String,
    /// it was in quotes: `*` and `:` in it stand for themselves
    pub quoted: bool,
    pub span: Span,
}

impl ProbePart {
    /// It stands for all names that are like it.
    pub fn is_pattern(&self) -> bool {
        self.text.contains('*') && !self.quoted
    }
}

/// `macro name($var, expr, @map, type) { body }`
#[derive(Clone, Debug)]
pub struct Macro {
    pub name: Ident,
    pub params: Vec<MacroParam>,
    pub body: Block,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum MacroParam {
    /// `$x`: a variable, which the macro may assign
    Var(Ident),
    /// `@m`
    Map(Ident),
    /// `x`: any expression, evaluated where it is used
    Expr(Ident),
}

/// `fn name($a: T, ...) : T { body }`
#[derive(Clone, Debug)]
pub struct Function {
    pub name: Ident,
    pub params: Vec<(Ident, Option<Type>)>,
    pub ret: Option<Type>,
    pub body: Block,
    pub span: Span,
}

/// `let @name = kind(N);`, `let @name = kind(N) pin("name");`
#[derive(Clone, Debug)]
pub struct MapDecl {
    pub map: Ident,
    /// `hash`, `lruhash`, ...
    pub kind: Ident,
    pub args: Vec<Expr>,
    /// a string: the name that it outlives the script under
    pub pin: Option<Expr>,
    pub span: Span,
}

/// `{ statements; tail }`: a block whose last expression has no semicolon has that value.
#[derive(Clone, Debug)]
pub struct Block {
    pub stmts: Vec<Stmt>,
    pub tail: Option<Box<Expr>>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum StmtKind {
    /// an expression for its effect: `print(@x)`, `@ = count()`, `$i++`, `{ ... }`, `if ...`
    Expr(Expr),
    /// `let $x: T = e`
    Let {
        var: Ident,
        ty: Option<Type>,
        init: Option<Expr>,
    },
    /// `_ = e`
    Discard(Expr),
    /// `place = e`, `place += e` (then `op` is `Add`)
    Assign {
        place: Expr,
        op: Option<BinOp>,
        value: Expr,
    },
    /// `while (e) { }`
    While {
        cond: Expr,
        body: Block,
    },
    /// `for $x : @m { }`, `for $i : a..b { }`
    For {
        var: Ident,
        over: ForOver,
        body: Block,
    },
    /// `unroll (n) { }`
    Unroll {
        count: Expr,
        body: Block,
    },
    Break,
    Continue,
    /// `return`, `return e`
    Return(Option<Expr>),
    /// `import "stdlib/x";` inside a body
    Import(Import),
}

#[derive(Clone, Debug)]
pub enum ForOver {
    Map(Ident),
    /// start is in, end is out
    Range(Box<Expr>, Box<Expr>),
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `42`, `0x2a`, `052`, `1e6`, `1_000`, `5ms` (nanoseconds), `'a'`. A suffix `u` makes it unsigned.
    Int {
        value: u64,
        unsigned: bool,
    },
    /// `true`, `false`
    Bool(bool),
    /// its bytes, escapes replaced
    Str(Vec<u8>),
    /// `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`, `02:00:00:00:00:01`: a network address as written
    Addr(String),
    /// `comm`, `args`, `AF_INET`, a macro parameter
    Name(String),
    /// `$x`
    Var(String),
    /// `@`, `@x`: the whole map, or a map without keys
    Map(String),
    /// `@x[k, ...]`
    MapIndex {
        map: Ident,
        keys: Vec<Expr>,
    },
    /// `$1`
    Param(u32),
    /// `$#`
    ParamCount,
    /// `f(a, b)`
    Call {
        name: Ident,
        args: Vec<Arg>,
    },
    Unary(UnOp, Box<Expr>),
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// `++x`, `x--`: `place` is a variable or a map element
    Step {
        place: Box<Expr>,
        inc: bool,
        prefix: bool,
    },
    /// `c ? a : b`; `a ?: b` has no middle
    Ternary {
        cond: Box<Expr>,
        then: Option<Box<Expr>>,
        other: Box<Expr>,
    },
    /// `if c { } else { }`, as a statement or as a value. `else if` is an `If` in `other`'s tail.
    If {
        cond: Box<Expr>,
        then: Block,
        other: Option<Block>,
    },
    Block(Block),
    /// `e.name`, `e->name` (then `arrow`)
    Field {
        base: Box<Expr>,
        name: Ident,
        arrow: bool,
    },
    /// `e.0`
    TupleField {
        base: Box<Expr>,
        index: u32,
    },
    /// `e[i]`
    Index {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    /// `e[a..b]`
    Slice {
        base: Box<Expr>,
        from: Box<Expr>,
        to: Box<Expr>,
    },
    /// `(type)e`
    Cast(Type, Box<Expr>),
    /// `(1, "a")`, `(1,)`, `()`
    Tuple(Vec<Expr>),
    /// `(a=1, b="x")`
    Record(Vec<(Ident, Expr)>),
    /// `sizeof(type)`, `sizeof(e)`
    Sizeof(TypeOrExpr),
    /// `offsetof(type, a.b)`, `offsetof(e, a.b)`
    Offsetof(TypeOrExpr, Vec<Ident>),
    /// `typeinfo(e)`
    Typeinfo(TypeOrExpr),
    /// `comptime e`
    Comptime(Box<Expr>),
    /// a use of a macro or function with its body in place; the compiler makes it, the parser never does
    Expansion(Box<Expansion>),
}

#[derive(Clone, Debug)]
pub struct Expansion {
    /// where it is defined
    pub name: Ident,
    pub span: Span,
    /// of a function; a macro's parameters are gone
    pub function: Option<Inlined>,
    pub body: Block,
}

/// What a function has that a macro doesn't.
#[derive(Clone, Debug)]
pub struct Inlined {
    /// parameters with their arguments, which belong to the caller
    pub args: Vec<(Ident, Option<Type>, Expr)>,
    pub ret: Option<Type>,
}

#[derive(Clone, Debug)]
pub enum TypeOrExpr {
    Type(Box<Type>),
    Expr(Box<Expr>),
}

/// An argument of a call. A name that could be either stays an expression (`ExprKind::Name`).
#[derive(Clone, Debug)]
pub enum Arg {
    Expr(Expr),
    /// `struct x`, `uint8*`: only what can't be an expression
    Type(Type),
}

#[derive(Clone, Debug)]
pub struct Type {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TypeKind {
    /// `uint64`, `bool`, `pid_t`, `unsigned long`
    Named(String),
    /// `struct x`
    Tagged(Tag, String),
    Pointer(Box<Type>),
    /// `T[N]`; `T[]` in a cast has no length
    Array(Box<Type>, Option<Box<Expr>>),
    /// `string[N]`, `buffer[N]`, `inet[N]`: the word and the length
    Sized(String, Box<Expr>),
    /// `(int64, string[16])`
    Tuple(Vec<Type>),
    /// `typeof(e)`, `typeof(T)`
    Typeof(TypeOrExpr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnOp {
    /// `-`
    Neg,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    AddrOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    Shl,
    Shr,
    And,
    Or,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `=~`: glob match
    Match,
}
