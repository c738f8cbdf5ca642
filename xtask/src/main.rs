mod cost;
mod dist;
mod peer;
mod tools;
mod vm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("vm") => vm::main(&args[1..]),
        Some("dist") => dist::main(&args[1..]),
        Some("cost") => cost::main(&args[1..]),
        Some("tools") => tools::main(&args[1..]),
        Some("peer") => peer::main(&args[1..]),
        _ => {
            eprintln!(
                "usage: {}\n       {}\n       {}\n       {}\n       {}",
                vm::USAGE,
                tools::USAGE,
                cost::USAGE,
                peer::USAGE,
                dist::USAGE
            );
            ExitCode::FAILURE
        }
    }
}
