//! The kernel said no: why, in words, and where in the user's text.

use super::denied::{exhausted, permission, unreachable};
use super::{Place, Spans, is_permission, program_title};
use crate::sys::bpf::{self, ProgSpec};
use crate::target::untraceable::Lists;
use awl_compiler::artifact::{AttachTo, Program, ProgramKind};
use awl_compiler::diagnostic::{Blame, Diagnostic};
use std::io;
use std::os::fd::OwnedFd;

/// A program that `PROG_LOAD` refused.
pub(super) struct Refused<'a> {
    pub program: &'a Program,
    pub points: &'a [String],
    pub spec: &'a ProgSpec<'a>,
    pub error: io::Error,
    /// bytes of the script's BTF, for the names of sources
    pub types: Option<&'a [u8]>,
    /// why the kernel refused those types, if it did
    pub btf_error: Option<&'a str>,
    pub spans: Spans<'a>,
    /// add the verifier's log, as far as anybody would read it
    pub whole_log: bool,
}

/// Loads again with a log and tells what it says. The program, should the kernel have changed its mind.
pub(super) fn again(r: &Refused) -> Result<OwnedFd, Diagnostic> {
    let mut size = 1 << 20;
    loop {
        let mut log = vec![0; size];
        let error = match bpf::prog_load(r.spec, Some(&mut log)) {
            Ok(fd) => return Ok(fd),
            Err(e) => e,
        };
        let log = text(&log);
        // The log was too short. Its end is what counts, which kernels from 6.4 on keep.
        let cut = error.raw_os_error() == Some(libc::ENOSPC);
        let has_end = log.lines().next_back().is_some_and(|l| l.starts_with("processed "));
        if !cut || has_end || size >= 1 << 27 {
            return Err(explain(r, &log));
        }
        size *= 8;
    }
}

/// A log up to its NUL; the kernel cuts long lines without regard for characters.
pub(super) fn text(log: &[u8]) -> String {
    let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end]).into_owned()
}

/// What the kernel says about types that it refused.
pub(super) fn btf_log(types: &[u8]) -> String {
    let mut log = vec![0; 1 << 16];
    match bpf::btf_load(types, Some(&mut log)) {
        Ok(_) => String::new(),
        Err(e) => match text(&log).trim().lines().last() {
            Some(line) => line.to_owned(),
            None => e.to_string(),
        },
    }
}

fn explain(r: &Refused, log: &str) -> Diagnostic {
    let title = program_title(r.program, r.points);
    let said = Said::read(log);
    if said.line.is_empty() && is_permission(&r.error) {
        return permission(&format!("load the program for {title}"), &r.error);
    }
    if said.line.is_empty()
        && let Some(d) = exhausted(&title, &r.error)
    {
        return d.at(r.program.span, "nothing is attached");
    }
    if let Some(d) = unreachable(&title, said.line) {
        let place = said.insn.and_then(|i| place(r, i));
        return d.at(place.and_then(|p| (r.spans)(&p)).unwrap_or(r.program.span), "by this");
    }
    if let Some((why, help)) = untraceable(r, &said) {
        let d = Diagnostic::environment("attach", format!("can't attach to {title}: {why}")).at(r.program.span, "nothing is attached");
        return d.help(help);
    }
    let mut family = Family::of(said.line);
    if said.line.is_empty() && r.error.raw_os_error() == Some(libc::E2BIG) {
        // Before 6.10 too many maps have no words (5.10, kernel/bpf/verifier.c, resolve_pseudo_ldimm64); nor ever has a length.
        family = if r.spec.insns.len() > MOST_INSTRUCTIONS { &TOO_LARGE } else { &TOO_MANY_MAPS };
    }
    let mut at = said.insn;
    if family.words == TOO_LARGE.words
        && let Some(head) = loop_head(log)
    {
        family = &LONG_LOOP;
        at = Some(head);
    }
    let mut d = match family.blame {
        Blame::Environment => Diagnostic::environment(family.code, ""),
        _ => Diagnostic::internal(family.code, ""),
    };
    d.blame = family.blame;
    d.message = format!("the kernel refused the program for {title}: {}", family.words);
    let place = at.and_then(|i| place(r, i));
    let span = place.as_ref().and_then(|p| (r.spans)(p));
    d = d.at(span.unwrap_or(r.program.span), family.label);
    if !said.line.is_empty() {
        d = d.note(format!("the verifier said: {}", said.line));
    } else {
        d = d.note(format!("it gave no reason but: {}", r.error));
    }
    if let (Some(i), Some(code)) = (said.insn, &said.code) {
        d = d.note(format!("at instruction {i}: {code}"));
    }
    if let Some(why) = r.btf_error.filter(|w| !w.is_empty()) {
        d = d.note(format!("it had refused the script's types before: {why}"));
    }
    if r.whole_log && !log.is_empty() {
        d = d.note(format!("the verifier's log:\n{}", end_of(log.trim_end())));
    }
    match family.help {
        "" if family.blame == Blame::Awl => {
            d.help("this is a defect of awl: please report it with the script, `uname -r` and the output of `-v`")
        }
        "" => d,
        help => d.help(help),
    }
}

/// Why the kernel doesn't let the function of `fentry` or `fexit` be traced, where that is what it refused (kernel/bpf/verifier.c,
/// `bpf_check_attach_target` and `check_attach_btf_id`), and what to do.
fn untraceable(r: &Refused, said: &Said) -> Option<(String, String)> {
    let provider = match r.program.kind {
        ProgramKind::Fentry { .. } => "fentry",
        ProgramKind::Fexit { .. } => "fexit",
        _ => return None,
    };
    let AttachTo::Function { module, name } = &r.program.attach.first()?.to else { return None };
    if said.line.contains("__noreturn") {
        return Some((format!("`{name}` never returns to its caller"), format!("probe its entry: `fentry:{name}`")));
    }
    // Those that awl doesn't refuse before (`AROUND_PROGRAMS`).
    if said.line.contains("Attaching tracing programs to function") {
        return Some((
            format!("the kernel itself calls `{name}` around each program, and doesn't let programs trace it"),
            "probe a function that calls it".into(),
        ));
    }
    if said.line.contains("The address of function") || said.line.contains("is not traceable") {
        let symbol = module.as_ref().map_or(name.clone(), |m| format!("{m}:{name}"));
        return Some(Lists::read().cause(&symbol)?.words(provider, &symbol));
    }
    None
}

/// The last 2,000 lines.
fn end_of(log: &str) -> String {
    const LINES: usize = 2000;
    match log.rmatch_indices('\n').nth(LINES - 1) {
        Some((at, _)) => format!("({} lines before)\n{}", log[..at].lines().count(), &log[at + 1..]),
        None => log.to_owned(),
    }
}

/// Where the loop starts that the verifier went round and round at the end of its log.
fn loop_head(log: &str) -> Option<u32> {
    let walked: Vec<u32> = log.lines().rev().filter_map(|l| Some(instruction(l)?.0)).take(4096).collect();
    let head = *walked.iter().min()?;
    let rounds = walked.iter().filter(|i| **i == head).count();
    // A walk through straight code, however long, passes each instruction a few times at most.
    (walked.len() == 4096 && rounds >= 8).then_some(head)
}

/// What matters of a log.
#[derive(Debug, PartialEq, Eq)]
struct Said<'a> {
    /// the complaint
    line: &'a str,
    /// the instruction that it is about
    insn: Option<u32>,
    /// that instruction in the kernel's notation
    code: Option<String>,
}

impl<'a> Said<'a> {
    fn read(log: &'a str) -> Said<'a> {
        let mut said = Said { line: "", insn: None, code: None };
        // Newer verifiers say it all once more, with a picture of the source.
        let log = log.split_once("\nVerification failed:").map_or(log, |(before, _)| before);
        for line in log.lines().rev().map(str::trim_end) {
            let counters = ["processed ", "verification time ", "stack depth "];
            if line.is_empty() || counters.iter().any(|c| line.starts_with(c)) {
                continue;
            }
            // The verifier may say it on the line of the jump that it has just shown.
            if let Some(at) = line.find("infinite loop detected").filter(|_| said.line.is_empty()) {
                said.line = &line[at..];
                said.insn = named_instruction(said.line);
            } else if let Some((insn, code)) = instruction(line) {
                if said.insn.is_none_or(|i| i == insn) {
                    said.insn = Some(insn);
                    said.code = Some(code);
                    break;
                }
            } else if said.line.is_empty() && !is_state(line) {
                said.line = line;
                said.insn = named_instruction(line);
            }
        }
        said
    }
}

/// `12: (79) r1 = *(u64 *)(r1 +0)   ; R1=scalar()`: number and text.
fn instruction(line: &str) -> Option<(u32, String)> {
    let (number, rest) = line.split_once(": (")?;
    let number = number.parse().ok()?;
    let (_, code) = rest.split_once(") ")?;
    let code = code.split(" ;").next().unwrap_or(code).trim();
    Some((number, code.to_owned()))
}

/// Registers and ways of control flow, which stand between instructions.
fn is_state(line: &str) -> bool {
    let known = ["; ", "cur state", "old state", "from ", "func#", "caller", "callee", "mark_precise", "last_idx", "regs="];
    let frame = line.strip_prefix("frame");
    known.iter().any(|k| line.starts_with(k))
        || frame.is_some_and(|f| f.starts_with(|c: char| c.is_ascii_digit()))
        || line.split_once(": ").is_some_and(|(n, rest)| n.parse::<u32>().is_ok() && (rest.starts_with('R') || rest.starts_with("frame")))
        || (line.starts_with('R') && line.contains('=') && !line.contains(' '))
        || line.starts_with("R0=")
        || line.starts_with("R1=")
        || line.starts_with(" R")
}

/// `back-edge from insn 12 to 3`, `infinite loop detected at insn 7`, `unreachable insn 5`
fn named_instruction(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("insn ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn place<'a>(r: &Refused<'a>, insn: u32) -> Option<Place<'a>> {
    let info = r.spec.line_info.iter().rev().find(|l| l.insn_off <= insn);
    Some(Place {
        program: &r.program.name,
        insn,
        file: info.and_then(|l| btf_string(r.types?, l.file_name_off)).unwrap_or(""),
        line: info.map_or(0, |l| l.line_col >> 10),
        column: info.map_or(0, |l| l.line_col & 0x3ff),
    })
}

/// A string of BTF: the header (include/uapi/linux/btf.h) holds its own length at 4, offset and length of the strings behind
/// itself at 16 and 20.
fn btf_string(btf: &[u8], offset: u32) -> Option<&str> {
    let word = |at: usize| -> Option<usize> {
        let b = btf.get(at..at + 4)?;
        Some(u32::from_ne_bytes(b.try_into().ok()?) as usize)
    };
    let start = word(4)?.checked_add(word(16)?)?;
    let strings = btf.get(start..start.checked_add(word(20)?)?)?;
    let rest = strings.get(offset as usize..)?;
    std::str::from_utf8(rest.split(|b| *b == 0).next()?).ok()
}

/// Complaints of one kind. `marks` are what the verifier's sentences contain (kernel/bpf/verifier.c, 5.10 to 7.3).
struct Family {
    code: &'static str,
    blame: Blame,
    words: &'static str,
    /// under the place
    label: &'static str,
    help: &'static str,
    marks: &'static [&'static str],
}

const OTHER: Family =
    Family { code: "verifier", blame: Blame::Awl, words: "its verifier could not prove it safe", label: "here", help: "", marks: &[] };

/// Code of what is refused for its size alone: with fewer ways through it, it may pass.
pub const TOO_COMPLEX: &str = "too-complex";

const TOO_LARGE: Family = Family {
    code: TOO_COMPLEX,
    blame: Blame::User,
    words: "it is too large or has too many ways through it",
    label: "while checking this",
    help: "make loops shorter, or split the probe's body",
    marks: &[
        "program is too large",
        "too many instructions",
        "is too complex",
        "too many states",
        "tail_call",
        "hit the limit of instructions",
        "call stack",
        "too many subprograms",
    ],
};

/// Is it the type of an argument that the verifier refused? As plain addresses, arguments may pass.
pub fn of_arguments(d: &Diagnostic) -> bool {
    d.code == "verifier" && [CONTEXT, NULL].iter().any(|f| d.message.ends_with(f.words))
}

const CONTEXT: Family = Family {
    code: "verifier",
    blame: Blame::Awl,
    words: "it reads where the context of its probe has nothing",
    label: "here",
    help: "",
    marks: &["invalid bpf_context access"],
};

const NULL: Family = Family {
    code: "verifier",
    blame: Blame::Awl,
    words: "it may follow a null pointer",
    label: "this may be null",
    help: "",
    marks: &["_or_null", "possibly NULL", "NULL pointer", "invalid mem access 'scalar'", "invalid mem access 'inv'"],
};

const TOO_MANY_MAPS: Family = Family {
    code: "verifier",
    blame: Blame::User,
    words: "it names more maps than a program may",
    label: "this probe",
    help: "let several probes do the work, or put several maps into one with another key: `@[\"name\", key]`",
    marks: &["number of maps per program"],
};

const ANSWER: Family = Family {
    code: "verdict",
    blame: Blame::User,
    words: "what it returns is no answer to the kernel's question",
    label: "this answer",
    help: "let it be a number between those that the verifier names",
    marks: &["At program exit the register R0"],
};

/// `TOO_LARGE`, when the log shows what the verifier was busy with.
const LONG_LOOP: Family = Family {
    words: "a loop never ends, or has too many rounds to be checked",
    label: "in this loop",
    help: "give the loop a smaller bound, one that does not depend on what is traced: `for ($i : 0..100)`",
    ..TOO_LARGE
};

/// `BPF_COMPLEXITY_LIMIT_INSNS`, which is the limit of a program's length as well
const MOST_INSTRUCTIONS: usize = 1_000_000;

impl Family {
    /// That of a complaint.
    fn of(line: &str) -> &'static Family {
        FAMILIES.iter().find(|f| f.marks.iter().any(|m| line.contains(m))).unwrap_or(&OTHER)
    }
}

/// The first that fits counts.
const FAMILIES: &[Family] = &[
    Family {
        code: "not-modifiable",
        blame: Blame::Environment,
        words: "this kernel lets no program answer for that function",
        label: "not one of those",
        help: "`security_*` functions may be answered for, and where the kernel is built with CONFIG_FUNCTION_ERROR_INJECTION those of \
               /sys/kernel/debug/error_injection/list; to watch only, `fexit:FUNCTION`",
        marks: &["is not modifiable", "points to disabled hook", "points to wrong type name"],
    },
    Family {
        code: "kernel-feature",
        blame: Blame::User,
        words: "it calls a helper that the kernel allows in few functions only, and not in this one",
        label: "not allowed here",
        help: "for paths there are `fentry` and `fexit` of filp_close, vfs_truncate, vfs_fallocate, vfs_getattr, dentry_open and \
               security_file_open, from Linux 5.11 on hooks of `lsm` that may sleep (file_open, bprm_check_security), `iter:task_file`, and on 5.10 to deny \
               `fmod_ret:security_file_open`",
        marks: &["helper call is not allowed in probe"],
    },
    Family {
        code: "kernel-feature",
        blame: Blame::Environment,
        words: "it calls a helper that this kernel lacks or forbids here",
        label: "this needs the helper",
        help: "a newer kernel has it; `uname -r` says which one this is",
        marks: &[
            "unknown func ",
            "invalid func ",
            "cannot use helper ",
            "cannot call GPL-restricted",
            "helper call is not allowed",
            "kernel function",
            "kfunc",
            "not supported for this kernel",
            "JIT does not support",
        ],
    },
    TOO_MANY_MAPS,
    Family {
        code: TOO_COMPLEX,
        blame: Blame::User,
        words: "a loop may never end",
        label: "this loop",
        help: "give the loop a bound that does not depend on what is traced, such as `for ($i : 0..100)`",
        marks: &["infinite loop detected", "back-edge from insn", "loop is not bounded"],
    },
    TOO_LARGE,
    ANSWER,
    Family {
        code: "verifier",
        blame: Blame::Awl,
        words: "it counts with an address in a way that no program may",
        label: "with this address",
        help: "",
        marks: &[
            "math between ctx pointer",
            "math between ptr_",
            "math between trusted_ptr_",
            "math between rcu_ptr_",
            "pointer += pointer",
            "pointer arithmetic with",
            "variable ctx access",
            "dereference of modified ctx",
        ],
    },
    CONTEXT,
    Family {
        code: "verifier",
        blame: Blame::Awl,
        words: "it uses the stack wrongly, or too much of it",
        label: "here",
        help: "",
        marks: &["stack", "frame pointer is read only"],
    },
    NULL,
    Family {
        code: "verifier",
        blame: Blame::Awl,
        words: "it may reach beyond the memory that it has",
        label: "this may go out of bounds",
        help: "",
        marks: &[
            "invalid access to",
            "min value is",
            "max value is",
            "unbounded",
            "outside of",
            "out of bounds",
            "invalid zero-sized read",
            "misaligned",
            "value is out of",
            "invalid size of register",
        ],
    },
    Family {
        code: "verifier",
        blame: Blame::Awl,
        words: "it handles a pointer in a way that this process has no right to",
        label: "here",
        help: "run it as root, or with the capabilities `cap_bpf,cap_perfmon`",
        marks: &["leaks addr", "pointer arithmetic", "pointer comparison prohibited", "prohibited for !root", "prohibited without"],
    },
    Family {
        code: "verifier",
        blame: Blame::Awl,
        words: "it keeps something that it must give back",
        label: "here",
        help: "",
        marks: &["Unreleased reference", "reference has not been"],
    },
];

#[cfg(test)]
mod tests;
