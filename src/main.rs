//! The `awl` command.

mod report;
mod run;

use awl_compiler::compile::compile;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let mut sources = SourceMap::default();
    let file = sources.add("<-e>", args[2].clone());
    let target = bare::Bare;
    let compiled = compile(&sources, file, &target, &Options::default());
    report::show(&sources, &compiled.diagnostics, true);
    if args[1] == "-d" {
        if let (Some(l), Some(o)) = (&compiled.lowered, &compiled.output) {
            for f in &l.module.functions {
                println!("{}", f.clif.display());
            }
            for f in &o.functions {
                println!("{}", awl_compiler::bpf::disassemble(f, &l.module));
            }
        }
    }
    let Some(artifact) = &compiled.artifact else { return ExitCode::from(report::exit_code(&compiled.diagnostics)) };
    let output = awl_runtime::output::Output::new(Box::new(std::io::stdout()), Box::new(std::io::stderr()), Default::default());
    let mut printer = run::Printer::new(output, artifact, &sources, false);
    match run::run(artifact, &mut printer, awl_runtime::session::Options { whole_log: true, ..Default::default() }, true) {
        Ok(o) => {
            eprintln!("{:?}", o.report);
            ExitCode::from(o.exit_code as u8)
        }
        Err(d) => {
            report::show(&sources, &[d], true);
            ExitCode::FAILURE
        }
    }
}

mod bare {
    use awl_compiler::target::*;
    pub struct Bare;
    fn no() -> Unavailable {
        Unavailable { code: "no-btf", message: "no".into(), help: "no".into() }
    }
    impl Target for Bare {
        fn kernel(&self) -> KernelVersion {
            KernelVersion(6, 18, 0)
        }
        fn arch(&self) -> Arch {
            Arch::X86_64
        }
        fn possible_cpus(&self) -> u32 {
            2
        }
        fn tracepoints(&self) -> Result<&[String], Unavailable> {
            Err(no())
        }
        fn tracepoint_format(&self, c: &str, e: &str) -> Result<Option<String>, Unavailable> {
            Ok(std::fs::read_to_string(format!("/sys/kernel/tracing/events/{c}/{e}/format"))
                .or_else(|_| std::fs::read_to_string(format!("/sys/kernel/debug/tracing/events/{c}/{e}/format")))
                .ok())
        }
        fn syscall_number(&self, _: &str) -> Option<u32> {
            None
        }
        fn btf(&self) -> Result<&btf::Btf, Unavailable> {
            Err(no())
        }
        fn btf_trace_id(&self, _: &str) -> Option<u32> {
            None
        }
        fn kernel_symbol(&self, _: &str) -> Result<Option<u64>, Unavailable> {
            Err(no())
        }
        fn binaries(&self, _: &str) -> Result<Vec<Binary>, Unavailable> {
            Err(no())
        }
        fn cgroup_id(&self, _: &str) -> Result<u64, Unavailable> {
            Err(no())
        }
        fn has(&self, _: Feature) -> bool {
            true
        }
    }
}
