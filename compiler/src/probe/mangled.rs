//! Names of functions as their authors wrote them, out of what compilers of C++ and Rust make of them.

use crate::glob::Glob;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Cpp,
    Rust,
}

impl Language {
    /// As attach points name it.
    pub fn find(name: &str) -> Option<Language> {
        [Language::Cpp, Language::Rust].into_iter().find(|l| l.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Language::Cpp => "cpp",
            Language::Rust => "rust",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    pub language: Language,
    /// with the types of the parameters, where the mangled name has them
    pub full: String,
    /// without
    pub base: String,
}

/// `None`: it isn't mangled. Parts that compilers move out of a function (`.cold`) are not entered by its callers, and have no
/// name of their own.
pub fn readable(symbol: &str) -> Option<Readable> {
    if let Ok(name) = rustc_demangle::try_demangle(symbol) {
        // without the hash of the old scheme
        let full = format!("{name:#}");
        return Some(Readable { language: Language::Rust, base: full.clone(), full });
    }
    let (mangled, clone) = symbol.split_once('.').unwrap_or((symbol, ""));
    if !mangled.starts_with("_Z") || clone.starts_with("cold") || clone.starts_with("part") {
        return None;
    }
    let parsed = cpp_demangle::Symbol::new(mangled).ok()?;
    let options = cpp_demangle::DemangleOptions::new().no_return_type();
    let full = parsed.demangle_with_options(&options).ok()?;
    let base = parsed.demangle_with_options(&options.no_params()).ok()?;
    Some(Readable { language: Language::Cpp, full, base })
}

impl Readable {
    /// As an attach point names it: `cpp:"grow(int)"`.
    pub fn part(&self) -> String {
        format!("{}:\"{}\"", self.language.name(), self.full)
    }
}

/// A name, with or without parameters, or a pattern; spaces don't count.
pub struct Wanted {
    language: Option<Language>,
    text: String,
    pattern: bool,
}

impl Wanted {
    pub fn new(text: &str, language: Option<Language>, pattern: bool) -> Wanted {
        Wanted { language, text: squeezed(text), pattern }
    }

    pub fn is(&self, r: &Readable) -> bool {
        let same = |name: &str| match self.pattern {
            true => Glob::new(&self.text).matches(&squeezed(name)),
            false => squeezed(name) == self.text,
        };
        self.language.is_none_or(|l| l == r.language) && (same(&r.base) || same(&r.full))
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Language, Wanted, readable};

    #[test]
    fn schemes() {
        for (symbol, language, full, base) in [
            ("_ZN3box4growEic", Language::Cpp, "box::grow(int, char)", "box::grow"),
            ("_Z4takeIiEvT_", Language::Cpp, "take<int>(int)", "take<int>"),
            ("_ZN3BoxC1Ev", Language::Cpp, "Box::Box()", "Box::Box"),
            ("_Z4growi.constprop.0", Language::Cpp, "grow(int)", "grow"),
            ("_ZN3app4work17h0123456789abcdefE", Language::Rust, "app::work", "app::work"),
            ("_RNvC6_123foo3bar", Language::Rust, "123foo::bar", "123foo::bar"),
        ] {
            let r = readable(symbol).unwrap_or_else(|| panic!("{symbol} is mangled"));
            assert_eq!((r.language, &*r.full, &*r.base), (language, full, base), "{symbol}");
        }
        for symbol in ["main", "main.work", "_Z4growi.cold", "_Z", "_ZN", "_R", ""] {
            assert_eq!(readable(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn spaces_do_not_count() {
        let r = readable("_ZN3box4growEic").unwrap();
        for (text, language, pattern, fits) in [
            ("box::grow", None, false, true),
            ("box::grow(int,char)", Some(Language::Cpp), false, true),
            ("box::grow( int, char )", None, false, true),
            ("box::grow(int)", None, false, false),
            ("box::grow", Some(Language::Rust), false, false),
            ("box::*", None, true, true),
            ("box::*", None, false, false),
        ] {
            assert_eq!(Wanted::new(text, language, pattern).is(&r), fits, "{text}");
        }
    }
}
