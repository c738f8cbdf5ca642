//! Settings of a script: the `config` block, the environment (`AWL_<KEY>`, `BPFTRACE_<KEY>`, which win), and what they
//! may be. One row a key.

use crate::types::StackMode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub max_strlen: u32,
    /// what strings hold of which nobody says how long they are, where that is less than `max_strlen`: a kernel's keys may be short
    pub short_strlen: Option<u32>,
    pub max_map_keys: u32,
    pub max_probes: u32,
    pub max_cat_bytes: u32,
    pub on_stack_limit: u32,
    pub print_maps_on_exit: bool,
    pub stack_mode: StackMode,
    pub str_trunc_trailer: String,
    pub missing_probes: Missing,
    pub cpp_demangle: bool,
    /// frames with file, line and what is inlined there
    pub show_debug_info: bool,
    /// pages; 0: chosen by the runtime
    pub perf_rb_pages: u32,
    pub license: &'static str,
    /// names of addresses in processes are kept
    pub cache_user_symbols: bool,
    /// parts of the language about which something is said, by name
    pub unstable: Vec<(&'static str, Unstable)>,
    /// names of keys that the environment set
    pub from_environment: Vec<&'static str>,
}

/// What to do about an attach point that can't be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Where nothing is said: a warning where the probe has another place, since lists name what functions are called in one
    /// kernel and in another; an error elsewhere.
    Listed,
    Error,
    Warn,
    Ignore,
}

/// What to do about a part of the language that may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstable {
    Enable,
    Warn,
    Error,
}

/// Licenses that let a program call all of the kernel's helpers (include/linux/license.h).
pub const LICENSES: [&str; 6] = ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

impl Config {
    /// Bytes of a string, NUL included, whose length isn't given.
    pub fn strlen(&self) -> u32 {
        self.short_strlen.unwrap_or(self.max_strlen)
    }

    fn unstable(&mut self, feature: &'static str, text: &str) -> Result<(), &'static str> {
        let level = match text.to_ascii_lowercase().as_str() {
            "enable" | "true" | "1" => Unstable::Enable,
            "warn" => Unstable::Warn,
            "error" | "false" | "0" => Unstable::Error,
            _ => return Err("`enable`, `warn` or `error`"),
        };
        self.unstable.retain(|(f, _)| *f != feature);
        self.unstable.push((feature, level));
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_strlen: 1024,
            short_strlen: None,
            max_map_keys: 4096,
            max_probes: 1024,
            max_cat_bytes: 10240,
            on_stack_limit: 32,
            print_maps_on_exit: true,
            stack_mode: StackMode::Bpftrace,
            str_trunc_trailer: "..".into(),
            missing_probes: Missing::Listed,
            cpp_demangle: true,
            show_debug_info: false,
            perf_rb_pages: 0,
            license: LICENSES[0],
            cache_user_symbols: true,
            unstable: Vec::new(),
            from_environment: Vec::new(),
        }
    }
}

/// Sets a key from its text, or says what was expected.
type Setter = fn(&mut Config, &str) -> Result<(), &'static str>;

pub struct Key {
    pub name: &'static str,
    /// older names
    pub aliases: &'static [&'static str],
    pub doc: &'static str,
    pub set: Setter,
    /// no longer of use
    pub retired: bool,
}

const fn key(name: &'static str, aliases: &'static [&'static str], doc: &'static str, set: Setter) -> Key {
    Key { name, aliases, doc, set, retired: false }
}

const fn retired(name: &'static str, set: Setter) -> Key {
    Key { name, aliases: &[], doc: "without effect: retired", set, retired: true }
}

/// `4096`, and with the suffix of a size: `64k`, `1M`.
fn number(text: &str) -> Result<u32, &'static str> {
    awl_grammar::size(text).and_then(|n| u32::try_from(n).ok()).ok_or("a number below 2^32: `4096`, `64k`")
}

/// A number that nothing depends on.
fn any_number(_: &mut Config, text: &str) -> Result<(), &'static str> {
    number(text).map(drop)
}

/// A choice that nothing depends on.
fn any_boolean(_: &mut Config, text: &str) -> Result<(), &'static str> {
    boolean(text).map(drop)
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("`true` or `false`"),
    }
}

pub const KEYS: &[Key] = &[
    key("max_strlen", &["strlen"], "bytes that `str()` and `buf()` hold when no length is given", |c, t| {
        c.max_strlen = number(t)?.max(1);
        Ok(())
    }),
    key("max_map_keys", &["map_keys_max"], "entries of a map", |c, t| {
        c.max_map_keys = number(t)?.max(1);
        Ok(())
    }),
    key("max_probes", &[], "attach points of a script", |c, t| {
        c.max_probes = number(t)?;
        Ok(())
    }),
    key("max_cat_bytes", &["cat_bytes_max"], "bytes that `cat()` prints", |c, t| {
        c.max_cat_bytes = number(t)?;
        Ok(())
    }),
    key("on_stack_limit", &[], "largest value in bytes kept on the program's stack", |c, t| {
        c.on_stack_limit = number(t)?;
        Ok(())
    }),
    key("print_maps_on_exit", &[], "print all maps at the end", |c, t| {
        c.print_maps_on_exit = boolean(t)?;
        Ok(())
    }),
    key("stack_mode", &[], "how stacks are printed: `bpftrace`, `perf`, `raw`, `build_id`", |c, t| {
        c.stack_mode = stack_mode(t).ok_or("`bpftrace`, `perf`, `raw` or `build_id`")?;
        Ok(())
    }),
    key("str_trunc_trailer", &[], "printed after a string that was cut", |c, t| {
        c.str_trunc_trailer = t.to_string();
        Ok(())
    }),
    key(
        "missing_probes",
        &[],
        "an attach point that does not exist: `error`, `warn`, `ignore`; unset, a warning where its probe has another one, else an error",
        |c, t| {
            c.missing_probes = match t.to_ascii_lowercase().as_str() {
                "error" => Missing::Error,
                "warn" => Missing::Warn,
                "ignore" => Missing::Ignore,
                _ => return Err("`error`, `warn` or `ignore`"),
            };
            Ok(())
        },
    ),
    key(
        "show_debug_info",
        &[],
        "file and line of each frame, and the functions inlined there; off unless it is asked for: it takes time",
        |c, t| {
            c.show_debug_info = boolean(t)?;
            Ok(())
        },
    ),
    key("cpp_demangle", &[], "print C++ and Rust names as people write them", |c, t| {
        c.cpp_demangle = boolean(t)?;
        Ok(())
    }),
    key("perf_rb_pages", &[], "pages of the ring buffer", |c, t| {
        c.perf_rb_pages = number(t)?;
        Ok(())
    }),
    key(
        "license",
        &[],
        "the programs' license: `GPL`, `GPL v2`, `GPL and additional rights`, `Dual BSD/GPL`, `Dual MIT/GPL`, `Dual MPL/GPL`",
        |c, t| {
            c.license = LICENSES.iter().find(|l| **l == t).ok_or(
            "`GPL`, `GPL v2`, `GPL and additional rights`, `Dual BSD/GPL`, `Dual MIT/GPL` or `Dual MPL/GPL`: others may not call the kernel's helpers",
        )?;
            Ok(())
        },
    ),
    key(
        "cache_user_symbols",
        &[],
        "names of addresses in processes are kept: `PER_PID`; `PER_PROGRAM` is the same, since two processes of a program lie at other addresses; `NONE`: looked up each time",
        |c, t| {
            c.cache_user_symbols = match t.to_ascii_lowercase().as_str() {
                "per_pid" | "per_program" | "1" => true,
                "none" | "0" => false,
                _ => return Err("`PER_PID`, `PER_PROGRAM` or `NONE`"),
            };
            Ok(())
        },
    ),
    key("unstable_tseries", &[], "uses of `tseries`: `enable`, `warn`, `error`; unset, nothing is said", |c, t| c.unstable("tseries", t)),
    key("unstable_typeinfo", &[], "uses of `typeinfo`, as above", |c, t| c.unstable("typeinfo", t)),
    key("unstable_dw_ustack", &[], "uses of `dw_ustack`, as above", |c, t| c.unstable("dw_ustack", t)),
    key("unstable_import_statement", &[], "`import` in the body of a probe, as above", |c, t| c.unstable("import", t)),
    key("no_cpp_demangle", &[], "the opposite of `cpp_demangle`, as it was once called", |c, t| {
        c.cpp_demangle = !boolean(t)?;
        Ok(())
    }),
    key("log_size", &[], "without effect: the verifier's log grows as needed", any_number),
    key("max_bpf_progs", &[], "without effect: there is no such limit", any_number),
    key("max_ast_nodes", &[], "without effect: there is no such limit", any_number),
    key("lazy_symbolication", &[], "without effect: symbols are looked up when printed", any_boolean),
    key("use_blazesym", &[], "without effect: always so", any_boolean),
    retired("symbol_source", |_, t| match t {
        "dwarf" | "symbol_table" => Ok(()),
        _ => Err("`dwarf` or `symbol_table`"),
    }),
    retired("max_type_res_iterations", any_number),
    retired("unstable_import", |_, t| Config::default().unstable("", t)),
    retired("unstable_macro", |_, t| Config::default().unstable("", t)),
    retired("unstable_map_decl", |_, t| Config::default().unstable("", t)),
    retired("unstable_addr", |_, t| Config::default().unstable("", t)),
];

pub fn find(name: &str) -> Option<&'static Key> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("bpftrace_").or_else(|| name.strip_prefix("awl_")).unwrap_or(&name);
    KEYS.iter().find(|k| k.name == name || k.aliases.contains(&name))
}

/// What bpftrace reads from the environment alone.
pub const ENVIRONMENT_ONLY: [&str; 4] = ["btf", "kernel_build", "kernel_source", "vmlinux"];

pub fn stack_mode(name: &str) -> Option<StackMode> {
    Some(match name {
        "bpftrace" => StackMode::Bpftrace,
        "perf" => StackMode::Perf,
        "raw" => StackMode::Raw,
        "build_id" => StackMode::BuildId,
        _ => return None,
    })
}
