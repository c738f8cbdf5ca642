//! Settings of a script: the `config` block, the environment (`AWL_<KEY>`, `BPFTRACE_<KEY>`, which win), and what they
//! may be. One row a key.

use crate::types::StackMode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub max_strlen: u32,
    pub max_map_keys: u32,
    pub max_probes: u32,
    pub max_cat_bytes: u32,
    pub on_stack_limit: u32,
    pub print_maps_on_exit: bool,
    pub stack_mode: StackMode,
    pub str_trunc_trailer: String,
    pub missing_probes: Missing,
    pub cpp_demangle: bool,
    /// pages; 0: chosen by the runtime
    pub perf_rb_pages: u32,
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

impl Default for Config {
    fn default() -> Config {
        Config {
            max_strlen: 1024,
            max_map_keys: 4096,
            max_probes: 1024,
            max_cat_bytes: 10240,
            on_stack_limit: 32,
            print_maps_on_exit: true,
            stack_mode: StackMode::Bpftrace,
            str_trunc_trailer: "..".into(),
            missing_probes: Missing::Listed,
            cpp_demangle: true,
            perf_rb_pages: 0,
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
}

const fn key(name: &'static str, aliases: &'static [&'static str], doc: &'static str, set: Setter) -> Key {
    Key { name, aliases, doc, set }
}

fn number(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "a number")
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("`true` or `false`"),
    }
}

/// Keys that bpftrace knows and that mean nothing without LLVM or its symbol library: accepted, without effect.
fn ignored(_: &mut Config, _: &str) -> Result<(), &'static str> {
    Ok(())
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
    key("stack_mode", &[], "how stacks are printed", |c, t| {
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
            c.missing_probes = match t {
                "error" => Missing::Error,
                "warn" => Missing::Warn,
                "ignore" => Missing::Ignore,
                _ => return Err("`error`, `warn` or `ignore`"),
            };
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
    key("no_cpp_demangle", &[], "the opposite of `cpp_demangle`", |c, t| {
        c.cpp_demangle = !boolean(t)?;
        Ok(())
    }),
    key("log_size", &[], "without effect: the verifier's log grows as needed", ignored),
    key("max_bpf_progs", &[], "without effect: there is no such limit", ignored),
    key("max_ast_nodes", &[], "without effect: there is no such limit", ignored),
    key("cache_user_symbols", &[], "without effect: symbols are cached by process", ignored),
    key("lazy_symbolication", &[], "without effect: symbols are looked up when printed", ignored),
    key("use_blazesym", &[], "without effect: always so", ignored),
    key("show_debug_info", &[], "without effect", ignored),
    key("license", &[], "without effect: programs are GPL", ignored),
    key("symbol_source", &[], "without effect", ignored),
    key("max_type_res_iterations", &[], "without effect", ignored),
    key("unstable_tseries", &[], "without effect", ignored),
    key("unstable_dw_ustack", &[], "without effect", ignored),
    key("unstable_typeinfo", &[], "without effect", ignored),
    key("unstable_import", &[], "without effect", ignored),
    key("unstable_import_statement", &[], "without effect", ignored),
    key("unstable_macro", &[], "without effect", ignored),
    key("unstable_map_decl", &[], "without effect", ignored),
    key("unstable_addr", &[], "without effect", ignored),
];

pub fn find(name: &str) -> Option<&'static Key> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("bpftrace_").or_else(|| name.strip_prefix("awl_")).unwrap_or(&name);
    KEYS.iter().find(|k| k.name == name || k.aliases.contains(&name))
}

pub fn stack_mode(name: &str) -> Option<StackMode> {
    Some(match name {
        "bpftrace" => StackMode::Bpftrace,
        "perf" => StackMode::Perf,
        "raw" => StackMode::Raw,
        "build_id" => StackMode::BuildId,
        _ => return None,
    })
}
